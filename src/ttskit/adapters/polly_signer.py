"""Signatures of AWS (version 4), by botocore's signer and its usual chain of credentials."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ttskit.errors import AuthenticationError, ConfigurationError

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from botocore.session import Session
    from pydantic import SecretStr

    from ttskit.adapters.polly_options import PollyOptions

REGION = re.compile(r"[a-z]{2,3}(-[a-z0-9]{1,12}){1,4}")
"""It becomes part of a host name."""


@dataclass(frozen=True, slots=True)
class Account:
    """An AWS account at work: who signs, and for which region."""

    provider: str
    """For errors."""
    region: str
    credentials: Credentials = field(repr=False)
    may_block: bool
    """The credentials are of a kind that ends and is fetched anew, over the network."""

    def sign(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """Return the headers that make a request the account's own.

        Args:
            method: Such as ``POST``.
            url: Whole, its query percent-encoded.
            body: JSON, complete; none for ``GET``.

        Raises:
            AuthenticationError: The credentials ended and no new ones can be had.
        """
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        try:
            credentials = self.credentials.get_frozen_credentials()
        except Exception as error:  # noqa: BLE001 - each kind of credentials has its own
            raise _refused(error, self.provider) from error.with_traceback(None)
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = {"X-Amz-Date": now}
        if body:
            headers["Content-Type"] = "application/json"
        if credentials.token:
            headers["X-Amz-Security-Token"] = credentials.token
        request = AWSRequest(method, url, headers, data=body)
        request.context["timestamp"] = now
        # Step by step: ``add_auth`` logs all headers, the token among them.
        signer = SigV4Auth(credentials, "polly", self.region)
        signed = signer.signed_headers(signer.headers_to_sign(request))
        text = signer.string_to_sign(request, signer.canonical_request(request))
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={signed}, "
            f"Signature={signer.signature(text, request)}"
        )
        return headers


def account(options: PollyOptions, *, provider: str) -> Account:
    """Return the account that the settings mean, or that botocore finds; may take seconds.

    Raises:
        AuthenticationError: There are no credentials.
        ConfigurationError: There is no region.
    """
    from botocore.session import Session

    try:
        session = Session(profile=options.profile)
        region = options.region or session.get_config_variable("region")
        credentials = _credentials(options, session)
    except Exception as error:  # noqa: BLE001 - files, processes and servers are asked
        raise _refused(error, provider) from error.with_traceback(None)
    if credentials is None:
        raise AuthenticationError(
            "there are no AWS credentials: give access_key_id and secret_access_key, or what "
            "botocore finds by itself, such as AWS_ACCESS_KEY_ID or a profile",
            provider=provider,
        )
    if not region or not REGION.fullmatch(region):
        raise ConfigurationError(
            "there is no AWS region: give `region`, or set AWS_DEFAULT_REGION", provider=provider
        )
    return Account(provider, region, credentials, may_block=hasattr(credentials, "refresh_needed"))


def _credentials(options: PollyOptions, session: Session) -> Credentials | None:
    from botocore.credentials import Credentials

    if options.access_key_id is None or options.secret_access_key is None:
        return session.get_credentials()
    return Credentials(
        options.access_key_id.get_secret_value(),
        options.secret_access_key.get_secret_value(),
        _told(options.session_token),
    )


def _told(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _refused(error: Exception, provider: str) -> AuthenticationError:
    kind = type(error).__name__
    return AuthenticationError(f"AWS credentials cannot be had ({kind})", provider=provider)
