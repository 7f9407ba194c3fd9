package web

import (
	"bufio"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/xdire/xlb/control"
)

// pairs are the labels that many series have in common: up to two names, each with its value.
type pairs [4]string

// metric is one family of series of the balancer.
type metric struct {
	name   string // without what OpenMetrics appends to counters
	kind   string // counter, gauge or histogram
	help   string
	labels []string
}

// exposition writes series as they are read, in the Prometheus text format or in OpenMetrics 1.0. The series of a family
// stand together, as both formats demand. A failed write shows in the flush.
type exposition struct {
	*bufio.Writer
	isOpen bool // OpenMetrics
	begun  *metric
	number []byte
}

func newExposition(w io.Writer, isOpen bool) *exposition {
	return &exposition{Writer: bufio.NewWriterSize(&paced{Writer: w, since: time.Now()}, 32<<10), isOpen: isOpen}
}

// paced rests after each write for as long as the work before it took: a long scrape has one processor for a tenth of a
// second otherwise, and connections wait for it.
type paced struct {
	io.Writer
	since time.Time
}

// maxRest is the longest rest: a reader that is slow leaves the processor to others by itself.
const maxRest = time.Millisecond

// Write implements io.Writer.
func (p *paced) Write(b []byte) (int, error) {
	n, err := p.Writer.Write(b)
	time.Sleep(min(time.Since(p.since), maxRest))
	p.since = time.Now()
	return n, err
}

// begin writes what stands above the first series of a family.
func (e *exposition) begin(m *metric) {
	if e.begun == m {
		return
	}
	e.begun = m
	name := m.name
	if m.kind == "counter" && !e.isOpen {
		name += "_total"
	}
	for _, part := range []string{"# HELP ", name, " ", helpEscape.Replace(m.help), "\n# TYPE ", name, " ", m.kind, "\n"} {
		e.WriteString(part)
	}
}

var (
	helpEscape  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// sample writes one series; more are names and values, too.
func (e *exposition) sample(m *metric, suffix string, value float64, labels pairs, more ...string) {
	e.begin(m)
	e.WriteString(m.name)
	e.WriteString(suffix)
	separator := "{"
	for _, some := range [...][]string{labels[:], more} {
		for i := 0; i+1 < len(some) && some[i] != ""; i += 2 {
			e.WriteString(separator)
			e.label(some[i], some[i+1])
			separator = ","
		}
	}
	if separator == "," {
		e.WriteString("}")
	}
	e.WriteString(" ")
	e.number = appendNumber(e.number[:0], value)
	e.Write(e.number)
	e.WriteString("\n")
}

func (e *exposition) label(name, value string) {
	e.WriteString(name)
	e.WriteString(`="`)
	e.WriteString(escaped(value))
	e.WriteString(`"`)
}

// escaped is a label's value as both formats write it.
func escaped(value string) string {
	if !utf8.ValidString(value) {
		value = strings.ToValidUTF8(value, "?")
	}
	if strings.ContainsAny(value, "\\\n\"") {
		value = labelEscape.Replace(value)
	}
	return value
}

// appendNumber writes whole numbers without an exponent, which is shorter.
func appendNumber(b []byte, value float64) []byte {
	if value == math.Trunc(value) && math.Abs(value) < 1e15 {
		return strconv.AppendInt(b, int64(value), 10)
	}
	return strconv.AppendFloat(b, value, 'g', -1, 64)
}

func (e *exposition) gauge(m *metric, value float64, labels pairs, more ...string) {
	e.sample(m, "", value, labels, more...)
}

func (e *exposition) counter(m *metric, value float64, labels pairs, more ...string) {
	e.sample(m, "_total", value, labels, more...)
}

// reasons has one counter for each reason that has occurred.
func (e *exposition) reasons(m *metric, counts []control.ReasonCount, labels pairs, more ...string) {
	for _, c := range counts {
		e.counter(m, float64(c.Count), labels, append(more, "reason", c.Reason)...)
	}
}

func (e *exposition) histogram(m *metric, h *control.Histogram, labels pairs, more ...string) {
	for i, bound := range h.Bounds {
		count := uint64(0)
		if i < len(h.Counts) {
			count = h.Counts[i]
		}
		e.sample(m, "_bucket", float64(count), labels, append(more, "le", strconv.FormatFloat(bound, 'g', -1, 64))...)
	}
	e.sample(m, "_bucket", float64(h.Count), labels, append(more, "le", "+Inf")...)
	e.sample(m, "_sum", h.Sum, labels, more...)
	e.sample(m, "_count", float64(h.Count), labels, more...)
}
