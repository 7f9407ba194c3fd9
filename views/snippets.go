package views

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/a-h/templ"
)

// Tools are the tabs of the connect page.
var Tools = []Tool{
	{"balancer-client", "balancer-client"}, {"curl", "curl"}, {"openssl", "openssl"}, {"psql", "psql"}, {"redis-cli", "redis-cli"},
	{"go", "Go"}, {"python", "Python"}, {"node", "Node"}, {"java", "Java"},
}

func isTool(id string) bool {
	return slices.ContainsFunc(Tools, func(t Tool) bool { return t.ID == id })
}

// ToolFor is the tool that was asked for, or the one that fits the port of the first route, or the one of last time.
func ToolFor(asked, port, last string) string {
	if isTool(asked) {
		return asked
	}
	switch port {
	case "6379":
		return "redis-cli"
	case "5432":
		return "psql"
	case "80", "443", "8000", "8080", "3000", "5000":
		return "curl"
	}
	if isTool(last) {
		return last
	}
	return Tools[0].ID
}

// SnippetFor is what to run with one tool, beside the file as it was downloaded. Each command is one for any POSIX shell.
// What asks for a password is one command with what follows: pasted lines would be taken for the password.
func SnippetFor(tool, format, file, endpoint string) Snippet {
	s := use(tool, endpoint)
	unpack := unpacking(format, file)
	if strings.HasPrefix(format, "p12") {
		s.Commands[0] = unpack + " &&\n" + s.Commands[0]
	} else {
		s.Commands = append([]string{unpack}, s.Commands...)
	}
	return s
}

// unpacking makes cert.pem, key.pem and ca.pem of a file in a folder named after it, and goes there.
func unpacking(format, file string) string {
	folder := file
	for _, end := range []string{".zip", ".tar.gz", ".pem", ".p12", ".yaml"} {
		folder = strings.TrimSuffix(folder, end)
	}
	into := "mkdir -p " + folder + " && cd " + folder
	up := "../" + file
	switch format {
	case "tar.gz":
		return "mkdir -p " + folder + " && tar -xzf " + file + " -C " + folder + " && cd " + folder
	case "pem":
		return into + ` && awk 'BEGIN{split("key.pem cert.pem ca.pem",f," ")} /-----BEGIN/{n++} {print > f[n]}' ` + up + " && chmod 600 key.pem"
	case "p12", "p12-legacy":
		return into + ` && printf 'Password: ' && read -r PASSWORD && export PASSWORD &&` +
			"\nopenssl pkcs12 -in " + up + " -passin env:PASSWORD -nodes -nocerts -out key.pem && chmod 600 key.pem &&" +
			"\nopenssl pkcs12 -in " + up + " -passin env:PASSWORD -nokeys -clcerts -out cert.pem &&" +
			"\nopenssl pkcs12 -in " + up + " -passin env:PASSWORD -nokeys -cacerts -out ca.pem"
	case "k8s":
		return into + ` && for f in tls.crt:cert.pem tls.key:key.pem ca.crt:ca.pem; do` +
			"\n  awk -v k=\"${f%%:*}:\" '$1 == k {print $2}' " + up + ` | base64 -d > "${f##*:}"; done && chmod 600 key.pem`
	}
	return "unzip -o " + file + " -d " + folder + " && cd " + folder + " && chmod 600 key.pem"
}

// use is the command of a tool, in the folder with the bundle.
func use(tool, endpoint string) Snippet {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		host = endpoint
	}
	fill := strings.NewReplacer("ENDPOINT", endpoint, "HOST", host, "PORT", port).Replace
	s := Snippet{Title: tool}
	for _, t := range Tools {
		if t.ID == tool {
			s.Title = t.Name
		}
	}
	command := ""
	switch tool {
	case "curl":
		s.Expected = expectWeb
		command = "curl --cert cert.pem --key key.pem --cacert ca.pem https://ENDPOINT/"
	case "openssl":
		s.Expected = expectStream
		command = "openssl s_client -quiet -verify_return_error -connect ENDPOINT -CAfile ca.pem -cert cert.pem -key key.pem"
	case "psql":
		s.Expected = expectPostgres
		command = `psql "host=HOST port=PORT user=postgres dbname=postgres sslmode=verify-full sslcert=cert.pem sslkey=key.pem sslrootcert=ca.pem" -c "select version()"`
	case "redis-cli":
		s.Expected = "PONG"
		command = "redis-cli -h HOST -p PORT --tls --cert cert.pem --key key.pem --cacert ca.pem ping"
	case "go":
		s.Expected = expectWeb
		command = goProgram
	case "python":
		s.Expected = expectWeb
		command = pythonProgram
	case "node":
		s.Expected = expectWeb
		command = nodeProgram
	case "java":
		s.Expected = expectWeb
		command = javaProgram
	default:
		s.Expected = expectUpstream
		s.About = aboutBalancerClient
		command = "balancer-client -addr ENDPOINT -n 3"
	}
	s.Commands = []string{fill(command)}
	return s
}

// commandText is the commands as they are copied, each in an element of its own, and no white space more: what is copied is
// run. The prompts are the style sheet's.
func commandText(commands []string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		for i, c := range commands {
			text := `<span class="cmd">` + templ.EscapeString(c) + "</span>"
			if i+1 < len(commands) {
				text += "\n"
			}
			if _, err := io.WriteString(w, text); err != nil {
				return err
			}
		}
		return nil
	})
}

const goProgram = `cat > main.go <<'EOF' && go run main.go
package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	pair, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		log.Fatal(err)
	}
	ca, err := os.ReadFile("ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots},
	}}
	resp, err := client.Get("https://ENDPOINT/")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(os.Stdout, resp.Body)
}
EOF`

const pythonProgram = `python3 - <<'EOF'
import ssl
import urllib.request

context = ssl.create_default_context(cafile="ca.pem")
context.load_cert_chain("cert.pem", "key.pem")
with urllib.request.urlopen("https://ENDPOINT/", context=context, timeout=10) as answer:
    print(answer.read().decode())
EOF`

const nodeProgram = `node - <<'EOF'
const { readFileSync } = require("node:fs");
const { get } = require("node:https");

const identity = { cert: readFileSync("cert.pem"), key: readFileSync("key.pem"), ca: readFileSync("ca.pem") };
get("https://ENDPOINT/", { ...identity, timeout: 10000 }, (answer) => answer.pipe(process.stdout));
EOF`

// Java reads no PEM keys: openssl makes a key store of them first.
const javaProgram = `openssl pkcs12 -export -in cert.pem -inkey key.pem -out client.p12 -passout pass:changeit &&
cat > Get.java <<'EOF' && java Get.java
import java.io.FileInputStream;
import java.net.URI;
import java.net.http.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.*;

class Get {
	public static void main(String[] args) throws Exception {
		char[] password = "changeit".toCharArray();
		KeyStore own = KeyStore.getInstance("PKCS12");
		own.load(new FileInputStream("client.p12"), password);
		KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
		keys.init(own, password);

		KeyStore trusted = KeyStore.getInstance("PKCS12");
		trusted.load(null, null);
		trusted.setCertificateEntry("xlb",
			CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream("ca.pem")));
		TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
		trust.init(trusted);

		SSLContext context = SSLContext.getInstance("TLS");
		context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
		HttpClient client = HttpClient.newBuilder().sslContext(context).build();
		HttpRequest request = HttpRequest.newBuilder(URI.create("https://ENDPOINT/")).build();
		System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
	}
}
EOF`
