"""Which domains name a company."""

import pytest

from orchestration.extract.connectors.mail_domains import company_domain


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("ann@Acme.Example ", "acme.example"), ("acme.example", "acme.example"), ("eve@mail.acme.example", "mail.acme.example"),
        # Companies whose names resemble a public service's, or are its owner's.
        ("x@yahoodoo.com", "yahoodoo.com"), ("x@gmail.acme.example", "gmail.acme.example"), ("x@verizon.com", "verizon.com"),
         ("x@proton.com", "proton.com"),
        ("", None), ("x@", None), ("x@gmail.com", None), ("x@GMX.net", None), ("x@yahoo.co.jp", None), ("x@outlook.com.br", None),
         ("x@web.de", None),
        ("x@verizon.net", None), ("x@proton.me", None), ("x@privaterelay.appleid.com", None), ("x@163.com", None),
    ],
)  # fmt: skip
def test_a_public_domain_is_nobodys(text: str, domain: str | None) -> None:
    assert company_domain(text) == domain
