package views

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// Tools are the tabs of the connect page.
var Tools = []Tool{
	{"balancer-client", "balancer-client"}, {"curl", "curl"}, {"openssl", "openssl"}, {"redis-cli", "redis-cli"}, {"go", "Go"},
}

// ToolFor is the tool that was asked for, or the one that fits the port of the first route.
func ToolFor(asked, port string) string {
	if slices.ContainsFunc(Tools, func(t Tool) bool { return t.ID == asked }) {
		return asked
	}
	switch port {
	case "6379":
		return "redis-cli"
	case "80", "443", "8000", "8080", "3000", "5000":
		return "curl"
	}
	return Tools[0].ID
}

// Snippets are the commands of one tool, to be run in the folder with the bundle.
func Snippets(tool, file, endpoint string) []Snippet {
	folder := strings.TrimSuffix(file, ".zip")
	return []Snippet{
		{Title: "unpacking the bundle", Text: fmt.Sprintf("unzip -o %s -d %s && cd %s && chmod 600 key.pem", file, folder, folder)},
		command(tool, endpoint),
	}
}

func command(tool, endpoint string) Snippet {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		host = endpoint
	}
	switch tool {
	case "curl":
		return Snippet{Title: "curl", Expected: "what your web server says", Text: "curl --cert cert.pem --key key.pem --cacert ca.pem https://" + endpoint + "/"}
	case "openssl":
		return Snippet{Title: "openssl", Expected: "an open stream: type, and the service answers", Text: "openssl s_client -quiet -verify_return_error -connect " + endpoint + " -CAfile ca.pem -cert cert.pem -key key.pem"}
	case "redis-cli":
		return Snippet{Title: "redis-cli", Expected: "PONG", Text: "redis-cli -h " + host + " -p " + port + " --tls --cert cert.pem --key key.pem --cacert ca.pem ping"}
	case "go":
		return Snippet{Title: "Go", Expected: "what your web server says", Text: strings.ReplaceAll(goProgram, "ENDPOINT", endpoint)}
	}
	return Snippet{Title: "balancer-client", Expected: "which upstream answered, and in what time", Text: "balancer-client -addr " + endpoint + " -n 3"}
}

const goProgram = `package main

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
}`
