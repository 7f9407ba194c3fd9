// One request over TLS with a client certificate: host port method path, in the folder of the bundle.
import { readFileSync } from "node:fs";
import { request } from "node:https";

const [host, port, method, path] = process.argv.slice(2);
const file = (name) => readFileSync(name);
const call = request(
	{ host, port, method, path, ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem"), agent: false, timeout: 20000 },
	(answer) => answer.pipe(process.stdout),
);
call.on("timeout", () => call.destroy(new Error("no answer in 20 s")));
call.end();
