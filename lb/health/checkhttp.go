package health

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// validateHTTP keeps what people write from becoming more than one request.
func (c Check) validateHTTP() error {
	switch c.Method {
	case "", "GET", "HEAD", "OPTIONS":
	default:
		return errors.New("the method of a check is GET, HEAD or OPTIONS")
	}
	if c.Path != "" && c.Path[0] != '/' && (c.Path != "*" || c.Method != "OPTIONS") {
		return errors.New("the path of a check starts with /")
	}
	if len(c.Path)+len(c.Host) > mostCheckBytes {
		return fmt.Errorf("path and host of a check have at most %d bytes", mostCheckBytes)
	}
	if strings.ContainsFunc(c.Path+c.Host, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("path and host of a check are printable ASCII without spaces: encode others with %")
	}
	for _, s := range c.Statuses {
		if s.From < 100 || s.From > 999 || s.To != 0 && (s.To < s.From || s.To > 999) {
			return errors.New("statuses of a check are from 100 to 999, the lower one first")
		}
	}
	return nil
}

// request is written by hand because net/http would bring an HTTP server along.
func (c Check) request(addr string) []byte {
	method := c.Method
	path := c.Path
	host := c.Host
	if method == "" {
		method = "GET"
	}
	if path == "" {
		path = "/"
	}
	if host == "" {
		host = addr
	}
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: lb-check\r\nAccept: */*\r\nConnection: close\r\n\r\n", method, path, host)
}

// askHTTP sends the request and reads the status line. The rest of the answer is of no interest.
func (p *probe) askHTTP(conn net.Conn) error {
	if _, err := conn.Write(p.check.request(p.addr)); err != nil {
		return p.brokeOff(err)
	}
	answer, err := readUntil(conn, func(answer []byte) bool { return bytes.IndexByte(answer, '\n') >= 0 })
	if len(answer) == 0 {
		return p.brokeOff(err)
	}
	line, _, _ := bytes.Cut(answer, []byte{'\n'})
	status, valid := parseStatus(line)
	if err != nil && !errors.Is(err, io.EOF) || !valid {
		return p.unexpected("expected HTTP, got "+countOf(answer), err)
	}
	if !p.check.wants(status) {
		return p.unexpected(fmt.Sprintf("status %d, want %s", status, p.check.statuses()), nil)
	}
	return nil
}

// parseStatus reads an HTTP/1 status line without its line feed. The words after the status may be
// missing, as some servers leave them out.
func parseStatus(line []byte) (status int, valid bool) {
	version, rest, _ := bytes.Cut(bytes.TrimSuffix(line, []byte{'\r'}), []byte{' '})
	number, isHTTP := bytes.CutPrefix(version, []byte("HTTP/1."))
	if !isHTTP || len(number) != 1 || !isDigit(number[0]) {
		return 0, false
	}
	rest = bytes.TrimLeft(rest, " ")
	if len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' {
		return 0, false
	}
	for _, digit := range rest[:3] {
		if !isDigit(digit) {
			return 0, false
		}
		status = 10*status + int(digit-'0')
	}
	return status, status >= 100
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

var defaultStatuses = []StatusRange{{From: 200, To: 399}}

func (c Check) goodStatuses() []StatusRange {
	if len(c.Statuses) == 0 {
		return defaultStatuses
	}
	return c.Statuses
}

func (c Check) wants(status int) bool {
	for _, s := range c.goodStatuses() {
		if status >= s.From && status <= max(s.From, s.To) {
			return true
		}
	}
	return false
}

// statuses lists the good ones for people: "200-399, 429".
func (c Check) statuses() string {
	var all []string
	for _, s := range c.goodStatuses() {
		text := fmt.Sprint(s.From)
		if s.To > s.From {
			text += fmt.Sprint("-", s.To)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}
