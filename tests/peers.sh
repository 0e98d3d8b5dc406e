#!/bin/sh
# Installs what the integration tests talk to and are judged by, where apt can: Orthanc, dcmtk, PixelMed.
missing=
command -v Orthanc >/dev/null 2>&1 || missing="$missing orthanc"
command -v dcmdump >/dev/null 2>&1 || missing="$missing dcmtk"
command -v DicomSRValidator >/dev/null 2>&1 || missing="$missing pixelmed-apps"
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "peers: no apt-get here, tests that need$missing will be skipped"
    exit 0
fi
sudo=
if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "peers: may not use apt-get, tests that need$missing will be skipped; install them by hand"
        exit 0
    fi
    sudo="sudo -n"
fi
echo "peers: installing$missing"
# A service that Debian would start has no place here: the tests start their own.
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null && $sudo chmod +x "$policy" && made=1
fi
$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq $missing >/dev/null ||
    echo "peers: apt-get could not install$missing"
[ -n "$made" ] && $sudo rm -f "$policy"
exit 0
