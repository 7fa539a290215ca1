"""Signed requests to Polly, in the region of an AWS account that is found out on first use.

Source of all facts: botocore 1.44.5, service model polly 2016-06-10.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from ttskit.adapters.options import given
from ttskit.adapters.polly_options import PollyOptions
from ttskit.adapters.polly_signer import Account, account
from ttskit.resources.http.address import Address
from ttskit.resources.http.framing import Json, json_object
from ttskit.resources.threads import DaemonThreads, ask

if TYPE_CHECKING:
    from ttskit.resources.http.client import HTTPClient, Sent

_SPEECH = "/v1/speech"
_VOICES = "/v1/voices"


class PollyClient:
    """Polly for one account.

    Args:
        options: Of the provider.
        connect: Returns a client to the region's address.
        provider: The configured name, for errors.
    """

    def __init__(
        self, options: PollyOptions, connect: Callable[[Address], HTTPClient], *, provider: str
    ) -> None:
        self._options = options
        self._connect = connect
        self._provider = provider
        self._desk = DaemonThreads(1, name=f"{provider} credentials")
        self._known: tuple[Account, HTTPClient] | None = None

    async def speech(self, body: Mapping[str, object]) -> Sent:
        """Return the exchange with Polly, ready to be entered: a signature lasts for minutes."""
        data = json.dumps(body, separators=(",", ":")).encode()
        http, signed = await self._signed("POST", _SPEECH, data)
        return http.stream("POST", _SPEECH, content=data, headers=signed)

    async def voices(self) -> Mapping[str, Json]:
        """Return every voice that Polly lists, by id."""
        entries: dict[str, Json] = {}
        token: str | None = None
        seen: set[str | None] = set()
        while token not in seen:
            seen.add(token)
            page = await self.page(token)
            listed = page.get("Voices")
            for entry in listed if isinstance(listed, list) else []:
                if isinstance(entry, dict) and isinstance(entry.get("Id"), str):
                    entries[entry["Id"]] = entry
            following = page.get("NextToken")
            token = following if isinstance(following, str) and following else None
        return entries

    async def page(self, token: str | None = None) -> Json:
        """Return one page of the voices; the first where no token of the one before is given."""
        query = given(Engine=self._options.model, NextToken=token)
        # Signed as it stands, and AWS has spaces as %20.
        path = f"{_VOICES}?{urlencode(query, quote_via=quote, safe='')}" if query else _VOICES
        http, signed = await self._signed("GET", path)
        return json_object(await http.fetch("GET", path, headers=signed))

    def close(self) -> None:
        """End the thread that credentials are read in."""
        self._desk.close()

    async def _signed(
        self, method: str, path: str, body: bytes = b""
    ) -> tuple[HTTPClient, Mapping[str, str]]:
        """Return the client, and the headers of a request that is complete, to be sent at once."""
        signer, http = await self._opened()
        address = self._options.address_in(signer.region)
        sign = partial(signer.sign, method, f"{address.origin}{address.target(path)}", body)
        return http, (await ask(self._desk, sign) if signer.may_block else sign())

    async def _opened(self) -> tuple[Account, HTTPClient]:
        """Return the account, and the client to its region."""
        if self._known is None:
            found = await ask(self._desk, partial(account, self._options, provider=self._provider))
            self._known = found, self._connect(self._options.address_in(found.region))
        return self._known
