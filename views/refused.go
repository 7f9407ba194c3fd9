package views

import (
	"net/url"
	"strings"
	"time"
)

// RefusedRow is a program that was turned away, or let in and not served.
type RefusedRow struct {
	First, At    time.Time // the first and the last of as many in a row
	Count        int
	Headline     string
	Sentence     string
	Serial, Name string // of its certificate
	Address      string
}

// RefusedReason is a reason with how often there was it.
type RefusedReason struct {
	Code, Headline string
	Count          int
}

// RefusedTableProps is who was turned away, newest first.
type RefusedTableProps struct {
	Now        time.Time
	FrontendID string
	Range      string // 1h, 24h or all
	Reason     string // code, "" for all
	Reasons    []RefusedReason
	Rows       []RefusedRow
	Pager      Pager
}

// RefusedProps is the page of them.
type RefusedProps struct {
	Page  Page
	Head  FrontendHead
	Table RefusedTableProps
}

// url is the list with another range, or of one reason.
func (p RefusedTableProps) url(span, reason string) string {
	q := url.Values{}
	if span != "" && span != refusedRanges[0].value {
		q.Set("range", span)
	}
	if reason != "" {
		q.Set("reason", reason)
	}
	if len(q) == 0 {
		return refusedURL(p.FrontendID)
	}
	return refusedURL(p.FrontendID) + "?" + q.Encode()
}

// ReasonName is a headline without what all of them begin with.
func ReasonName(headline string) string {
	name := strings.TrimPrefix(strings.TrimPrefix(headline, "Refused: "), "Accepted, but ")
	name, _, _ = strings.Cut(name, " on ")
	if name == "" {
		return headline
	}
	return strings.ToUpper(name[:1]) + name[1:]
}
