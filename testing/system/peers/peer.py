# One request over TLS with a client certificate: host port method path, in the folder of the bundle.
import ssl
import sys
from http.client import HTTPSConnection

host, port, method, path = sys.argv[1:]
context = ssl.create_default_context(cafile="ca.pem")
context.load_cert_chain("cert.pem", "key.pem")
connection = HTTPSConnection(host, int(port), timeout=20, context=context)
connection.request(method, path)
print(connection.getresponse().read().decode())
