"""What Python's standard library makes of a mesh: one JSON object on stdout. Arguments: port of a dependency, its name."""

import http.client
import json
import sys
import urllib.request

port, name = int(sys.argv[1]), sys.argv[2]
report = {}

connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)


def ask(method, path, body=None, headers={}, **options):
    connection.request(method, path, body, headers, **options)
    response = connection.getresponse()
    return response, response.read()


sockets = set()
response, body = ask("GET", "/get?x=1")
report["get"] = [response.status, json.loads(body)["path"]]
sockets.add(connection.sock.getsockname())
response, body = ask("HEAD", "/head")
report["head"] = [response.status, len(body), int(response.headers["content-length"]) > 0]
sockets.add(connection.sock.getsockname())
response, body = ask("POST", "/post", b"y" * 300000)
report["post"] = json.loads(body)["bytes"]
sockets.add(connection.sock.getsockname())
response, body = ask("PUT", "/chunks", iter([b"a" * 70000, b"b", b"c" * 70000]))
report["chunks"] = json.loads(body)["bytes"]
sockets.add(connection.sock.getsockname())
response, body = ask("GET", "/stream")
report["stream"] = body.decode()
sockets.add(connection.sock.getsockname())
response, body = ask("GET", "/bytes?5242880")
report["large"] = len(body)
sockets.add(connection.sock.getsockname())
report["connections"] = len(sockets)
connection.close()

# http_proxy comes from the environment.
with urllib.request.urlopen(f"http://{name}/by-proxy", timeout=10) as response:
    report["proxied"] = json.loads(response.read())["path"]

tunnel = http.client.HTTPConnection("127.0.0.1", int(sys.argv[3]), timeout=10)
tunnel.set_tunnel(name, 80)
tunnel.request("GET", "/by-tunnel")
report["tunnel"] = json.loads(tunnel.getresponse().read())["path"]

print(json.dumps(report))
