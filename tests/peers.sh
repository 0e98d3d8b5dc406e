#!/bin/sh
# Installs what the integration tests talk to and are judged by, where apt and npm can: Orthanc and its DICOMweb
# plugin, dcmtk, PixelMed, PostgreSQL, and the OHIF viewer with a browser to run it in.
cd "$(dirname "$0")/.." || exit 0

install_packages() {
    missing=
    command -v Orthanc >/dev/null 2>&1 || missing="$missing orthanc"
    [ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing="$missing orthanc-dicomweb"
    command -v dcmdump >/dev/null 2>&1 || missing="$missing dcmtk"
    command -v DicomSRValidator >/dev/null 2>&1 || missing="$missing pixelmed-apps"
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 ||
        missing="$missing postgresql"
    browser=
    command -v chromium >/dev/null 2>&1 || browser="$browser chromium"
    command -v node >/dev/null 2>&1 || browser="$browser nodejs"
    command -v npm >/dev/null 2>&1 || browser="$browser npm"
    [ -z "$missing$browser" ] && return
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "peers: no apt-get here, tests that need$missing$browser will be skipped"
        return
    fi
    sudo=
    if [ "$(id -u)" != 0 ]; then
        if ! sudo -n true 2>/dev/null; then
            echo "peers: may not use apt-get, tests that need$missing$browser will be skipped; install them by hand"
            return
        fi
        sudo="sudo -n"
    fi
    echo "peers: installing$missing$browser"
    # A service that Debian would start has no place here: the tests start their own.
    policy=/usr/sbin/policy-rc.d
    made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null && $sudo chmod +x "$policy" && made=1
    fi
    $sudo apt-get update -qq
    [ -z "$missing" ] || DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq $missing >/dev/null ||
        echo "peers: apt-get could not install$missing"
    # What npm and a browser recommend is a compiler and a desktop.
    [ -z "$browser" ] ||
        DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $browser >/dev/null ||
        echo "peers: apt-get could not install$browser"
    [ -n "$made" ] && $sudo rm -f "$policy"
}

# The viewer as npm has it, built: of its own dependencies nothing is needed, and the lock file names none.
install_viewer() {
    folder=.cache/ohif
    cmp -s tests/ohif/package-lock.json "$folder/installed.json" && return
    if ! command -v npm >/dev/null 2>&1; then
        echo "peers: no npm here, the tests of the viewer will be skipped"
        return
    fi
    echo "peers: installing the OHIF viewer"
    mkdir -p "$folder" && cp tests/ohif/package.json tests/ohif/package-lock.json "$folder/" &&
        npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null &&
        cp tests/ohif/package-lock.json "$folder/installed.json" ||
        echo "peers: npm could not install the viewer"
}

install_packages
install_viewer
exit 0
