"""The MCP Python SDK as a client, from nothing but the address of a server.

Prints one JSON object a line: the address to open in a browser, then what its tool answers, with the tokens that it has; the
second answer comes after the SDK has refreshed them.
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata


class Memory:
    tokens = None
    client_info = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info


def say(**what):
    print(json.dumps(what), flush=True)


async def main(url):
    came = asyncio.get_running_loop().create_future()

    async def receive(reader, writer):
        line = (await reader.readline()).decode()
        target = urlsplit(line.split(" ")[1])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nDone")
        await writer.drain()
        writer.close()
        if target.path == "/callback" and not came.done():
            came.set_result({name: values[0] for name, values in parse_qs(target.query).items()})

    async def redirect(address):
        say(open=address)

    async def callback():
        params = await came
        return AuthorizationCodeResult(
            code=params["code"], state=params.get("state"), iss=params.get("iss")
        )

    listener = await asyncio.start_server(receive, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    memory = Memory()
    provider = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(
            client_name="Quillet for Python",
            redirect_uris=[f"http://127.0.0.1:{port}/callback"],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method="none",
        ),
        storage=memory,
        redirect_handler=redirect,
        callback_handler=callback,
    )

    async def call(client):
        result = await client.call_tool("list_notes", {})
        say(
            client_id=memory.client_info.client_id,
            text=result.content[0].text,
            tokens=memory.tokens.model_dump(mode="json", exclude_none=True),
        )

    async with create_mcp_http_client(auth=provider) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            await call(client)
            provider.context.token_expiry_time = 1
            await call(client)
    listener.close()


asyncio.run(main(sys.argv[1]))
