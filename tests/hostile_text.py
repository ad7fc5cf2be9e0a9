"""Text that a spreadsheet would run, and what a CSV file holds instead: of the exports and of the board alike."""

HOSTILE = '=HYPERLINK("http://evil.example","open")'

NEUTRAL_CELLS = [
    (HOSTILE, "'" + HOSTILE),
    ("+1", "'+1"),
    ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
    ("@SUM(A1)", "'@SUM(A1)"),
    ("\tTab", "' Tab"),
    ("\rReturn", "' Return"),
    ("\n=1", "' =1"),
    ("  =1", "'  =1"),
    ("\uff1d1", "'\uff1d1"),
    ("\uff0b1", "'\uff0b1"),
    ("\uff0d1", "'\uff0d1"),
    ("\uff20A", "'\uff20A"),
    ("\ufeff=1", "'=1"),
    ("\u200b=1", "'=1"),
    # What is taken out must not uncover a formula.
    ("\0=1", "'=1"),
    ("\u202e=1", "'=1"),
    # A semicolon separates cells in half of Europe.
    ("Acme;=1", "Acme;'=1"),
    ("a-b; c=d", "a-b; c=d"),
    ("Acme\0\x1b[31m Inc.", "Acme[31m Inc."),
    ("Acme\r\nInc.\tLtd\u2028x", "Acme Inc. Ltd x"),
    ("invoice\u202excod.exe\u2066", "invoicexcod.exe"),
    ("Ünïcode 日本 🙂 'quoted' \"twice\"", "Ünïcode 日本 🙂 'quoted' \"twice\""),
    ("", ""),
]
