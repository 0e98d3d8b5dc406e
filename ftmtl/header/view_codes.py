"""Codes of mammographic views, view modifiers and sides, SNOMED CT and the older SRT ones (PS3.16 CID 4014, 4015)."""

from __future__ import annotations

from collections.abc import Mapping

_VIEW_CODES = {  # CID 4014 View for Mammography: the SCT code, then the SRT (SNM3) code that it replaced
    "CC": ("399162004", "R-10242"),
    "MLO": ("399368009", "R-10226"),
    "ML": ("399260004", "R-10224"),
    "LM": ("399352003", "R-10228"),
    "LMO": ("399099002", "R-10230"),
    "SIO": ("399188001", "R-102D0"),
    "ISO": ("441555000", "R-40AAA"),
    "FB": ("399196006", "R-10244"),
    "XCCL": ("399192008", "R-1024A"),
    "XCCM": ("399101009", "R-1024B"),
    "SPECIMEN": ("127457009", "G-8310"),
}
_MODIFIER_CODES = {  # CID 4015 View Modifier for Mammography
    "AC": ("441752004", "P2-00161"),
    "AT": ("399011000", "R-102D1"),
    "AX": ("442580003", "R-40AB2"),
    "CV": ("399161006", "R-102D2"),
    "ID": ("399209000", "R-102D5"),
    "IMF": ("442593008", "R-40ABE"),
    "M": ("399163009", "R-102D6"),
    "NP": ("442581004", "R-40AB3"),
    "RI": ("414493004", "R-102CA"),
    "RL": ("399197002", "R-102D3"),
    "RM": ("399226006", "R-102D4"),
    "RS": ("415670009", "R-102C9"),
    "S": ("399055006", "R-102D7"),
    "TAN": ("399110001", "R-102C2"),
}
_SIDE_CODES = {"L": ("80248007", "T-04030", "7771000", "G-A101"), "R": ("73056007", "T-04020", "24028007", "G-A100")}


def _by_code(table: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {code: name for name, codes in table.items() for code in codes}


VIEW_OF_CODE = _by_code(_VIEW_CODES)
MODIFIER_OF_CODE = _by_code(_MODIFIER_CODES)
SIDE_OF_CODE = _by_code(_SIDE_CODES)
"""By code value: the view's ACR code, the modifier's, and ``L`` or ``R``."""
