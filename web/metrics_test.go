package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/xdire/xlb/control"
)

// scrape maps each series, written name{labels}, to its value.
type scrape map[string]float64

func scrapeText(t *testing.T, h http.Handler, headers ...string) (string, http.Header) {
	t.Helper()
	req := httptest.NewRequest("GET", "http://localhost/metrics", nil)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	if rec.Code != http.StatusOK {
		t.Fatalf("scrape: %d %s, want %d", rec.Code, rec.Body, http.StatusOK)
	}
	return rec.Body.String(), rec.Header()
}

func (f *fixture) scrape() scrape {
	f.Helper()
	text, _ := scrapeText(f.T, f.server.OpsHandler())
	return readScrape(f.T, text)
}

// sum is of all series with a name.
func (s scrape) sum(name string) (sum float64) {
	for series, value := range s {
		if series == name || strings.HasPrefix(series, name+"{") {
			sum += value
		}
	}
	return sum
}

func readScrape(t *testing.T, text string) scrape {
	t.Helper()
	all := scrape{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64)
		must(t, err)
		all[sorted(line[:at])] = value
	}
	return all
}

var labelPair = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)

// sorted is a series with its labels in order, le last.
func sorted(series string) string {
	name, _, labelled := strings.Cut(series, "{")
	if !labelled {
		return series
	}
	labels := labelPair.FindAllString(series, -1)
	slices.SortFunc(labels, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a[:3], "le="), strings.Count(b[:3], "le=")), strings.Compare(a, b))
	})
	return name + "{" + strings.Join(labels, ",") + "}"
}

// ours is how many series are of the balancer.
func (s scrape) ours() (n int) {
	for series := range s {
		if strings.HasPrefix(series, "xlb_") {
			n++
		}
	}
	return n
}

// exports tells whether any series has the name.
func (s scrape) exports(name string) bool {
	for series := range s {
		if series == name || strings.HasPrefix(series, name+"{") {
			return true
		}
	}
	return false
}

// busy is a balancer that has seen traffic of every kind.
type busy struct {
	*tenant
	frontend, off, live, dead, source, serial string
}

// dialTime bounds every connect and read of these tests: what hangs fails.
const dialTime = 10 * time.Second

// makeBusy leaves one connection open, after one that ended, one with a revoked certificate, one of a
// frontend that is switched off and one of nobody.
func makeBusy(t *testing.T) *busy {
	f := start(t)
	address, b := f.balance(), &busy{tenant: f.signUp("testuser"), live: echoes(t), dead: "127.0.0.1:1"}
	a := b.call("POST", "/api/v1/client/frontend", `{"name":"orders","routes":[{"dest":"`+b.live+`"},{"dest":"`+b.dead+`"}]}`)
	b.frontend = a.object(t)["uuid"].(string)
	cert, serial := b.identity(b.frontend, "laptop")
	b.serial = serial
	open := f.connect(address, cert)
	b.source = open.source
	ended := f.connect(address, cert)
	must(t, ended.SetDeadline(time.Now().Add(dialTime)))
	must(t, ended.CloseWrite())
	if _, err := io.Copy(io.Discard, ended); err != nil {
		t.Fatalf("the end of a stream: %v", err)
	}
	ended.Close()
	revoked, revokedSerial := b.identity(b.frontend, "lost")
	if a := b.call("DELETE", "/api/v1/client/frontend/"+b.frontend+"/certificates/"+revokedSerial, ""); a.status != 200 {
		t.Fatalf("revoke: %d %s, want 200", a.status, a.body)
	}
	f.wantTurnedAway(address, revoked)
	b.off = b.call("POST", "/api/v1/client/frontend", `{"active":false,"routes":[{"dest":"`+b.live+`"}]}`).object(t)["uuid"].(string)
	closed, _ := b.identity(b.off, "early")
	f.wantTurnedAway(address, closed)
	plain, err := net.DialTimeout("tcp", address, dialTime)
	must(t, err)
	defer plain.Close()
	must(t, plain.SetDeadline(time.Now().Add(dialTime)))
	fmt.Fprint(plain, "GET / HTTP/1.1\r\n\r\n")
	if _, err := io.Copy(io.Discard, plain); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("plain text is not turned away")
	}
	return b
}

// wantTurnedAway connects with a certificate that opens nothing.
func (f *fixture) wantTurnedAway(address string, cert tls.Certificate) {
	f.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: dialTime}, "tcp", address, clientOf(cert))
	if err == nil { // TLS 1.3: the alert comes with the first read
		defer conn.Close()
		must(f.T, conn.SetDeadline(time.Now().Add(dialTime)))
		_, err = conn.Read(make([]byte, 1))
	}
	var alert *net.OpError
	if !errors.As(err, &alert) || alert.Op != "remote error" {
		f.Fatalf("a certificate that opens nothing got %v, want an alert", err)
	}
}

// eventually scrapes until the wanted series have their values.
func (f *fixture) eventually(want scrape) scrape {
	f.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got, wrong := f.scrape(), ""
		for series, value := range want {
			if v, there := got[series]; !there || v != value {
				wrong += fmt.Sprintf("\n%s is %v (there: %v), want %v", series, v, there, value)
			}
		}
		if wrong == "" {
			return got
		}
		if time.Now().After(deadline) {
			f.Fatal(wrong)
		}
	}
}

// series is the name of a series as it is written: labels, each key=value, are sorted.
func series(name string, labels ...string) string {
	slices.Sort(labels)
	for i, label := range labels {
		key, value, _ := strings.Cut(label, "=")
		labels[i] = key + "=" + strconv.Quote(value)
	}
	return "xlb_" + name + "{" + strings.Join(labels, ",") + "}"
}

func (b *busy) ofFrontend(name string, more ...string) string {
	return series("frontend_"+name, append(more, "client="+b.uuid, "frontend="+b.frontend)...)
}

func (b *busy) ofRoute(name, dest string, more ...string) string {
	return series("route_"+name, append(more, "frontend="+b.frontend, "route="+dest)...)
}

func TestMetricsOfRealTraffic(t *testing.T) {
	b := makeBusy(t)
	got := b.eventually(scrape{
		b.ofFrontend("info", "name=orders"):                                               1,
		b.ofFrontend("state", "state=degraded"):                                           1,
		b.ofFrontend("active"):                                                            1,
		b.ofFrontend("waiting"):                                                           0,
		b.ofFrontend("connections_accepted_total"):                                        2,
		b.ofFrontend("connections_total", "reason=done"):                                  1,
		b.ofFrontend("refused_total", "reason=revoked"):                                   1,
		b.ofFrontend("bytes_total", "direction=in"):                                       10,
		b.ofFrontend("bytes_total", "direction=out"):                                      10,
		b.ofFrontend("connection_seconds_count"):                                          1,
		b.ofFrontend("wait_seconds_count"):                                                2,
		b.ofRoute("up", b.live):                                                           1,
		b.ofRoute("up", b.dead):                                                           0,
		b.ofRoute("connections_active", b.live):                                           1,
		b.ofRoute("connections_total", b.live):                                            2,
		b.ofRoute("connect_failures_total", b.dead):                                       1,
		b.ofRoute("bytes_total", b.live, "direction=in"):                                  10,
		b.ofRoute("bytes_total", b.live, "direction=out"):                                 10,
		b.ofRoute("connect_seconds_count", b.live):                                        2,
		strings.TrimSuffix(b.ofRoute("connect_seconds_bucket", b.live), "}") + `,le="5"}`: 2, // le comes last

		series("certificates", "client="+b.uuid, "frontend="+b.frontend):                    1,
		series("handshakes_refused_total", "owner=known", "reason=revoked"):                 1,
		series("handshakes_refused_total", "owner=known", "reason=off"):                     1,
		series("frontend_refused_total", "client="+b.uuid, "frontend="+b.off, "reason=off"): 1,
		series("handshakes_refused_total", "owner=nobody", "reason=not-tls"):                1,

		"xlb_connections_accepted_total": 5,
		"xlb_connections_active":         1,
		"xlb_handshakes_active":          0,
		"xlb_frontends":                  2,
		"xlb_clients":                    1,
		"xlb_store_ready":                1,
	})
	own := []string{"client=" + b.uuid, "frontend=" + b.frontend}
	for _, s := range []string{
		series("certificate_expiry_timestamp_seconds", own...), series("certificate_last_expiry_timestamp_seconds", "client="+b.uuid, "frontend="+b.frontend),
		"xlb_authority_expiry_timestamp_seconds",
	} {
		if got[s] < float64(time.Now().Add(80*24*time.Hour).Unix()) {
			t.Errorf("%s is %v", s, got[s])
		}
	}
	for _, s := range []string{b.ofRoute("connect_failures_total", b.live), b.ofRoute("connect_seconds_count", b.dead), b.ofRoute("bytes_total", b.dead, "direction=in")} {
		if v, there := got[s]; there {
			t.Errorf("%s is %v: counters that are zero are left out", s, v)
		}
	}
	moved := 0.0
	for s, n := range got {
		if strings.HasPrefix(s, "xlb_loop_connections{") {
			moved += n
		}
	}
	if runtime.GOOS == "linux" && moved != 1 {
		t.Errorf("loops have %v connections, want 1", moved)
	}
	wantAllDescribed(t, got)
	b.wantNothingPrivate()
	b.wantNoSeriesAfterRemoval()
	b.wantNoSeriesAfterDeletion()
}

// The operations port asks nobody who they are.
func (b *busy) wantNothingPrivate() {
	b.Helper()
	text, _ := scrapeText(b.T, b.server.OpsHandler())
	accessKey := b.call("GET", "/api/v1/client/frontend/"+b.frontend, "").object(b.T)["accessKey"].(string)
	for what, private := range map[string]string{
		"the client's key": b.key, "a token": b.token, "the access key": accessKey, "a serial": b.serial,
		"a client's address": b.source, "the name of a certificate": "laptop",
	} {
		if private == "" || strings.Contains(text, private) {
			b.Errorf("a scrape shows %s (%q)", what, private)
		}
	}
}

// What is exported is described, and what is described is exported once there is traffic of every kind.
func wantAllDescribed(t *testing.T, got scrape) {
	t.Helper()
	names := map[string]bool{}
	for _, d := range described {
		name := d.series()
		names[name] = true
		if !got.exports(name) && !got.exports(name+"_bucket") {
			t.Errorf("%s is described and not exported", name)
		}
	}
	for s := range got {
		name, _, _ := strings.Cut(s, "{")
		if strings.HasPrefix(name, "xlb_") && !names[name] && !names[baseName(name)] {
			t.Errorf("%s is exported and not described", s)
		}
	}
}

func (b *busy) wantNoSeriesAfterRemoval() {
	b.Helper()
	if a := b.call("PATCH", "/api/v1/client/frontend/"+b.frontend, `{"routes":[{"dest":"`+b.live+`"}]}`); a.status != 200 {
		b.Fatalf("remove a route: %d %s, want 200", a.status, a.body)
	}
	for s := range b.eventually(scrape{b.ofRoute("connections_total", b.live): 2}) {
		if strings.Contains(s, `route="`+b.dead+`"`) {
			b.Errorf("%s is left of a removed route", s)
		}
	}
}

func (b *busy) wantNoSeriesAfterDeletion() {
	b.Helper()
	if a := b.call("DELETE", "/api/v1/client/frontend/"+b.frontend, ""); a.status != 204 {
		b.Fatalf("delete: %d %s, want 204", a.status, a.body)
	}
	got := b.eventually(scrape{"xlb_frontends": 1, "xlb_connections_active": 0})
	for s := range got {
		if strings.Contains(s, b.frontend) {
			b.Errorf("%s is left of a deleted frontend", s)
		}
	}
	if n := got[series("handshakes_refused_total", "owner=known", "reason=revoked")]; n != 1 {
		b.Errorf("the server's own counter fell to %v with the frontend, want 1", n)
	}
}

func TestSeriesAreBoundedByTheFrontendsThatExist(t *testing.T) {
	f := start(t, func(c *control.Config) { c.Limits.Frontends = -1 })
	c := f.signUp("testuser")
	ctx := control.WithActor(t.Context(), control.Actor{ClientID: c.uuid})
	spec := control.DefaultFrontend()
	spec.Routes = []control.Route{{Dest: "10.0.0.1:80"}, {Dest: "10.0.0.2:80"}, {Dest: "10.0.0.3:80"}}
	before, ids := f.scrape(), make([]string, 200)
	for i := range ids {
		frontend, err := f.control.CreateFrontend(ctx, spec)
		must(t, err)
		ids[i] = frontend.ID
	}
	began := time.Now()
	if n := f.scrape().ours() - before.ours(); n < len(ids)*(5+3) || n > len(ids)*(8+3*2) {
		t.Errorf("%d frontends with 3 routes have %d series", len(ids), n)
	} else {
		t.Logf("a scrape of %d series and reading it took %v", n, time.Since(began))
	}
	for _, id := range ids {
		must(t, f.control.DeleteFrontend(ctx, id))
	}
	if after := f.scrape(); after.ours() != before.ours() {
		t.Errorf("%d series before %d frontends, %d after them", before.ours(), len(ids), after.ours())
	}
}

func TestOpenMetricsIsNegotiated(t *testing.T) {
	f := start(t)
	h := f.server.OpsHandler()
	text, header := scrapeText(t, h, "Accept", "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(header.Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(text, "# EOF\n") {
		t.Errorf("got %s, want OpenMetrics with its end", header.Get("Content-Type"))
	}
	if _, header := scrapeText(t, h); !strings.HasPrefix(header.Get("Content-Type"), "text/plain") {
		t.Errorf("without asking: %s", header.Get("Content-Type"))
	}
}

// series is what the series of a metric are called, but for a histogram's endings.
func (m *metric) series() string {
	if m.kind == "counter" {
		return m.name + "_total"
	}
	return m.name
}

// What is written parses, in both formats, whatever is in a label, and every family stands together.
func TestScrapesParse(t *testing.T) {
	m := manyFrontends(3)
	m.Frontends[1].Name = "a \"quoted\" \\ name\nof two lines \xff"
	m.Frontends[2].Routes[0].Total, m.Frontends[2].BytesIn = 7, 1<<40+1
	h := metricsOf(reads(m), Config{Version: "test"})
	for accept, kind := range map[string]string{"": "text/plain", "application/openmetrics-text;version=1.0.0": "application/openmetrics-text"} {
		text, header := scrapeText(t, h, "Accept", accept)
		if !strings.HasPrefix(header.Get("Content-Type"), kind) {
			t.Errorf("asked for %q, got %s", accept, header.Get("Content-Type"))
		}
		seen := map[string]bool{}
		last := ""
		for line := range strings.Lines(text) {
			if kind == "application/openmetrics-text" && line == "# EOF\n" {
				continue
			}
			name := strings.TrimPrefix(line, "# TYPE ")
			if name != line {
				last, _, _ = strings.Cut(name, " ")
				if seen[last] && strings.HasPrefix(last, "xlb_") {
					t.Errorf("%s: the family %s comes twice", kind, last)
				}
				seen[last] = true
			}
			if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, last) {
				t.Errorf("%s: among the series of %s: %s", kind, last, line)
			}
		}
		if kind == "text/plain" {
			parser := expfmt.NewTextParser(model.UTF8Validation)
			families, err := parser.TextToMetricFamilies(strings.NewReader(text))
			must(t, err)
			if got := families["xlb_frontend_info"].Metric[1].Label[2].GetValue(); got != "a \"quoted\" \\ name\nof two lines ?" {
				t.Errorf("the name is read as %q, want %q", got, "a \"quoted\" \\ name\nof two lines ?")
			}
		} else if !strings.HasSuffix(text, "\n# EOF\n") || !strings.Contains(text, "\n# TYPE xlb_frontend_bytes counter\nxlb_frontend_bytes_total{") {
			t.Error("the text is no OpenMetrics")
		}
		if len(seen) < 30 || !strings.Contains(text, "1099511627777") {
			t.Errorf("%s: %d families", kind, len(seen))
		}
	}
}

// Less detail has the sums of more, under the same names.
func TestMetricsDetail(t *testing.T) {
	m := manyFrontends(4)
	for i := range m.Frontends {
		f := &m.Frontends[i]
		f.ClientID = "client-" + strconv.Itoa(i%2)
		f.Active = i + 1
		f.Routes[0].Failed = 2
		f.Wait = control.Histogram{Bounds: []float64{1, 2}, Counts: []uint64{1, 2}, Count: 3, Sum: 4}
	}
	m.Frontends[3].State = control.StateDown
	sums := map[MetricsDetail]scrape{}
	for _, detail := range []MetricsDetail{MetricsOfFrontends, MetricsOfClients, MetricsInTotal} {
		h := metricsOf(reads(m), Config{MetricsDetail: detail})
		text, _ := scrapeText(t, h)
		sums[detail] = readScrape(t, text)
	}
	for name, want := range map[string]float64{
		"xlb_frontend_active": 10, "xlb_frontend_connections_total": 28, "xlb_route_connect_failures_total": 8,
		"xlb_frontend_wait_seconds_count": 12, "xlb_frontend_wait_seconds_sum": 16, "xlb_frontend_state": 4, "xlb_certificates": 4,
	} {
		for detail, all := range sums {
			if got := all.sum(name); got != want {
				t.Errorf("%s: the sum of %s is %v, want %v", detail, name, got, want)
			}
		}
	}
	byClient, total := sums[MetricsOfClients], sums[MetricsInTotal]
	for s, want := range map[string]float64{
		series("frontend_active", "client=client-0"): 4, series("frontend_active", "client=client-1"): 6,
		series("frontend_state", "client=client-1", "state=down"): 1, series("frontend_wait_seconds_bucket", "client=client-0", "le=1"): 2,
		series("route_connect_failures_total", "client=client-0"): 4,
	} {
		if got := byClient[s]; got != want {
			t.Errorf("%s is %v, want %v", s, got, want)
		}
	}
	if total["xlb_frontend_active"] != 10 || total[series("frontend_state", "state=up")] != 3 || total.exports("xlb_frontend_info") || total.exports("xlb_route_up") {
		t.Errorf("in total: %v", total)
	}
	if len(byClient) >= len(sums[MetricsOfFrontends]) || len(total) >= len(byClient) {
		t.Error("less detail is not less")
	}
}

// One scrape is answered at a time; the next one waits, and not for ever.
func TestScrapesComeOneAtATime(t *testing.T) {
	t.Parallel() // it waits most of the time
	enter, leave := make(chan struct{}, 8), make(chan struct{})
	h := metricsOf(func(context.Context, *control.Metrics) { enter <- struct{}{}; <-leave }, Config{})
	statuses := make(chan int, 2)
	for range cap(statuses) {
		go func() {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
			statuses <- rec.Code
		}()
	}
	<-enter
	select {
	case <-enter:
		t.Error("two are answered at once")
	case status := <-statuses: // after scrapeWait
		if status != http.StatusServiceUnavailable {
			t.Errorf("the one that waited got %d, want 503", status)
		}
	case <-time.After(2 * scrapeWait):
		t.Error("the second waits for ever")
	}
	close(leave)
	if status := <-statuses; status != http.StatusOK {
		t.Errorf("the first got %d, want %d", status, http.StatusOK)
	}
}

// reads is where a scrape reads m.
func reads(m control.Metrics) func(context.Context, *control.Metrics) {
	return func(_ context.Context, into *control.Metrics) { *into = m }
}

// manyFrontends is a snapshot of n frontends with 3 routes that have had traffic.
func manyFrontends(n int) control.Metrics {
	h := control.Histogram{Bounds: []float64{.0005, .001, .0025, .005, .01, .025, .1, .5, 1, 5}, Counts: make([]uint64, 10), Count: 1}
	ended := []control.ReasonCount{{Reason: "done", Count: 5}, {Reason: "client-eof", Count: 2}}
	var m control.Metrics
	m.Frontends = make([]control.FrontendMetrics, n)
	for i := range m.Frontends {
		f := control.FrontendMetrics{
			ID: fmt.Sprintf("0d8a8a0c-1f2e-4b5a-9c1d-%012d", i), ClientID: "5f0c5b0e-7a3d-4c57-8f1e-000000000001", Name: "orders",
			State: control.StateUp, Closed: ended, Wait: h, Duration: h,
			Certificates: control.CertificateMetrics{Valid: 1, First: time.Now(), Last: time.Now()},
		}
		for r := range 3 {
			f.Routes = append(f.Routes, control.RouteMetrics{Dest: fmt.Sprintf("10.0.0.%d:8080", r), State: control.StateUp, Connect: h})
		}
		m.Frontends[i] = f
	}
	return m
}

func BenchmarkScrape1000Frontends3Routes(b *testing.B) {
	m := manyFrontends(1000)
	h := metricsOf(reads(m), Config{Log: slog.New(slog.DiscardHandler), Version: "test"})
	req := httptest.NewRequest("GET", "/metrics", nil)
	b.ReportAllocs()
	for b.Loop() {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code != 200 {
			b.Fatal(rec.Body)
		}
		b.ReportMetric(float64(rec.Body.Len()), "bytes/scrape")
	}
}
