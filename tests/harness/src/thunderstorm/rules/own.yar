// SPDX-License-Identifier: GPL-3.0-or-later
//
// The rules of the stand-in scanner. They recognise test files and little else: nobody is protected by them.
// External variables as in THOR: filename, extension (lower case, with its dot), filepath, filetype, owner.

rule EICAR_Test_File : EICAR TEST {
    meta:
        description = "The EICAR anti-malware test file"
        author = "thundergate"
        reference = "https://www.eicar.org/download-anti-malware-testfile/"
        date = "2026-11-01"
        score = 100
    strings:
        // in hexadecimal, so that no scanner reports this repository
        $eicar = { 58 35 4f 21 50 25 40 41 50 5b 34 5c 50 5a 58 35 34 28 50 5e 29 37 43 43 29 37 7d 24 45 49 43 41 52 }
    condition:
        $eicar in (0..128)
}

rule SUSP_VBA_AutoOpen_Shell : MACRO SUSP T1059_005 {
    meta:
        description = "A macro that runs when a document opens and starts a program"
        author = "thundergate"
        reference = "https://attack.mitre.org/techniques/T1059/005/"
        date = "2026-11-01"
        score = 75
    strings:
        $open1 = "AutoOpen" nocase ascii wide
        $open2 = "Document_Open" nocase ascii wide
        $open3 = "Workbook_Open" nocase ascii wide
        $run1 = "WScript.Shell" nocase ascii wide
        $run2 = "Shell(" nocase ascii wide
        $run3 = "powershell" nocase ascii wide
    condition:
        any of ($open*) and any of ($run*)
}

rule SUSP_Executable_Under_Document_Name : EXE NAME T1036_008 {
    meta:
        description = "A Windows executable whose name claims to be a document or a picture"
        author = "thundergate"
        reference = "https://attack.mitre.org/techniques/T1036/008/"
        date = "2026-11-01"
        score = 70
    condition:
        uint16(0) == 0x5a4d and extension matches /^\.(pdf|docx?|xlsx?|pptx?|txt|rtf|jpe?g|png|gif|html?)$/
}

rule SUSP_Double_Extension : NAME T1036_007 {
    meta:
        description = "A file name that hides a program's extension behind a document's"
        author = "thundergate"
        reference = "https://attack.mitre.org/techniques/T1036/007/"
        date = "2026-11-01"
        score = 65
    condition:
        filename matches /\.(pdf|docx?|xlsx?|txt|jpe?g|png)[ _.]*\.(exe|scr|com|bat|cmd|js|vbs|lnk)$/i
}

rule Test_Marker_Suspicious : TEST {
    meta:
        description = "A marker of our own tests with a score in the middle"
        author = "thundergate"
        reference = "tests/README.md"
        date = "2026-11-01"
        score = 60
    strings:
        $marker = "THUNDERGATE-TEST-SUSPICIOUS"
    condition:
        $marker
}

rule Test_Marker_Low : TEST {
    meta:
        description = "A marker of our own tests that is only just reported"
        author = "thundergate"
        reference = "tests/README.md"
        date = "2026-11-01"
        score = 45
    strings:
        $marker = "THUNDERGATE-TEST-LOW"
    condition:
        $marker
}

rule Test_Marker_Strong_One : TEST {
    meta:
        description = "A marker of our own tests with a high score"
        author = "thundergate"
        reference = "tests/README.md"
        date = "2026-11-01"
        score = 95
    strings:
        $marker = "THUNDERGATE-TEST-STRONG-1"
    condition:
        $marker
}

rule Test_Marker_Strong_Two : TEST {
    meta:
        description = "A second marker with a high score, for files with two strong matches"
        author = "thundergate"
        reference = "tests/README.md"
        date = "2026-11-01"
        score = 92
    strings:
        $marker = "THUNDERGATE-TEST-STRONG-2"
    condition:
        $marker
}
