"""A real mail server for the tests of notify/email: aiosmtpd, told by the recipient how to behave.

usage: smtp_server.py [--cert CERT --key KEY] [--starttls | --tls] [--auth USER:PASSWORD] [--pipelining]
                      [--dsn | --dsn-only-announced]

Prints `listening PORT`, then one JSON object a line for each mail it took: the envelope, the headers, both parts as
Python's own mail parser reads them, what was asked for with DSN, and the client's port (one port is one connection). Ends when its standard input
is closed. Recipients: busy@ 451 and gone@ 550 at RCPT, later@ 452 and never@ 554 after the mail, hangup@ drops the
connection at RCPT, vanish@ drops it after the mail, slow@ answers RCPT after three seconds, closing@ 421.
"""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import re
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


DSN = re.compile(r" (RET|ENVID|NOTIFY)=(\S+)")


class Taking(SMTP):
    """Takes the parameters of RFC 3461, which aiosmtpd refuses."""

    async def smtp_MAIL(self, arg):
        self.session.dsn = dict(DSN.findall(arg))
        await super().smtp_MAIL(DSN.sub("", arg))

    async def smtp_RCPT(self, arg):
        self.session.dsn.update(DSN.findall(arg))
        await super().smtp_RCPT(DSN.sub("", arg))


class Desk:
    def __init__(self, pipelining, dsn):
        self.pipelining = pipelining
        self.dsn = dsn

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        if self.pipelining:
            responses.insert(1, "250-PIPELINING")
        if self.dsn:
            responses.insert(1, "250-DSN")
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):
        word = address.split("@")[0]
        if word == "busy":
            return "451 4.3.0 try again later"
        if word == "gone":
            return "550 5.1.1 no such user here"
        if word == "closing":
            return "421 4.3.2 closing"
        if word == "hangup":
            server.transport.abort()
            return "250 unheard"
        if word == "slow":
            await asyncio.sleep(3)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        word = envelope.rcpt_tos[0].split("@")[0]
        if word == "later":
            return "452 4.2.2 mailbox full"
        if word == "never":
            return "554 5.7.1 not wanted"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        plain = mail.get_body(("plain",))
        html = mail.get_body(("html",))
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "port": session.peer[1],
            "tls": session.ssl is not None, "user": getattr(session, "auth_data", None) is not None,
            "headers": [[name, str(value)] for name, value in mail.items()],
            "defects": [str(d) for part in mail.walk() for d in part.defects],
            "parts": [part.get_content_type() for part in mail.walk()],
            "text": plain.get_content(), "html": html.get_content(), "dsn": getattr(session, "dsn", {}),
        }), flush=True)
        if word == "vanish":
            server.transport.abort()
        return "250 2.0.0 queued as 4F1B2C"


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--starttls", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--auth")
    parser.add_argument("--pipelining", action="store_true")
    parser.add_argument("--dsn", action="store_true")
    parser.add_argument("--dsn-only-announced", action="store_true")
    chosen = parser.parse_args()

    context = None
    if chosen.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chosen.cert, chosen.key)

    def authenticate(server, session, envelope, mechanism, data):
        wanted = chosen.auth.encode().split(b":", 1)
        fits = isinstance(data, LoginPassword) and [data.login, data.password] == wanted
        return AuthResult(success=fits, handled=False, auth_data=data if fits else None)

    def session():
        return (Taking if chosen.dsn else SMTP)(
            Desk(chosen.pipelining, chosen.dsn or chosen.dsn_only_announced),
            hostname="test.example",
            tls_context=context if chosen.starttls else None,
            require_starttls=chosen.starttls,
            authenticator=authenticate if chosen.auth else None,
            auth_required=bool(chosen.auth),
            auth_require_tls=not chosen.tls,
            enable_SMTPUTF8=False,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if chosen.tls else None)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


# refused handshakes and the like are what the tests are about
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
asyncio.run(main())
