from kseg.export.page.hosting import HEADERS, POLICY, TYPES, readme


def test_the_policy_lets_nothing_out():
    rules = dict(part.strip().split(" ", 1) for part in POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert not any("http" in value or "*" in value for value in rules.values())
    assert "'unsafe-inline'" not in POLICY
    assert HEADERS["Content-Security-Policy"] == POLICY


def test_scripts_have_a_type_that_browsers_run():
    assert TYPES[".mjs"].startswith("text/javascript")
    assert TYPES[".wasm"] == "application/wasm"  # for streaming compilation


def test_the_readme_names_every_header():
    text = readme({"name": "x", "kseg": "1", "runtime": {"name": "R", "folder": "runtime/2"}})
    for name, value in HEADERS.items():
        assert f"{name}: {value}" in text
