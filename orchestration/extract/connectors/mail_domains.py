"""Mail domains that everybody may have an address at. They are nobody's account, however often one account's people write from there."""

import re

# Under any ending: yahoo.fr, gmx.net, outlook.com.br.
_EVERYWHERE = "aol|gmail|gmx|googlemail|hotmail|live|outlook|protonmail|rocketmail|yahoo|yandex|ymail|zoho"
_DOMAINS = frozenset(
    """
    me.com icloud.com mac.com privaterelay.appleid.com duck.com mozmail.com
    msn.com proton.me pm.me tuta.com tuta.io tutanota.com tutanota.de keemail.me mailbox.org zohomail.com
    mail.com email.com hey.com hushmail.com fastmail.com fastmail.fm inbox.com mailinator.com
    comcast.net verizon.net att.net sbcglobal.net bellsouth.net cox.net charter.net earthlink.net optonline.net juno.com
    shaw.ca rogers.com sympatico.ca videotron.ca bigpond.com optusnet.com.au xtra.co.nz
    btinternet.com virginmedia.com ntlworld.com blueyonder.co.uk talktalk.net sky.com
    web.de t-online.de freenet.de posteo.de arcor.de online.de bluewin.ch hispeed.ch aon.at chello.at
    orange.fr free.fr laposte.net wanadoo.fr sfr.fr neuf.fr bbox.fr numericable.fr telenet.be skynet.be
    ziggo.nl kpnmail.nl planet.nl home.nl hetnet.nl xs4all.nl telia.com online.no
    libero.it virgilio.it tiscali.it alice.it tin.it sapo.pt telefonica.net terra.es
    wp.pl o2.pl onet.pl interia.pl seznam.cz centrum.cz abv.bg ukr.net mail.ru bk.ru inbox.ru list.ru rambler.ru
    uol.com.br bol.com.br terra.com.br ig.com.br
    qq.com foxmail.com 163.com 126.com yeah.net sina.com sina.cn sohu.com 139.com naver.com daum.net hanmail.net nate.com
    docomo.ne.jp ezweb.ne.jp softbank.ne.jp rediffmail.com
    """.split()
)
_ANY_ENDING = re.compile(rf"({_EVERYWHERE})\.[a-z]{{2,3}}(\.[a-z]{{2}})?")


def company_domain(text: str) -> str | None:
    """The domain of a mail address, or a domain, in lower case; None where it is blank or everybody's."""
    domain = text.rpartition("@")[2].strip().lower()
    is_public = domain in _DOMAINS or _ANY_ENDING.fullmatch(domain)
    return None if is_public or not domain else domain
