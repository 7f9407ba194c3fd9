package handlers

import (
	"net/url"
	"strconv"

	"github.com/xdire/xlb/views"
)

// rowsPerPage is how many rows a list shows: more are not read, and each one is sent again as it moves.
const rowsPerPage = 50

// pager says which rows of total the parameter of a query asks for: page 1 when it asks for none, the last one when
// there are fewer. Its links lead to path and keep what else the reader has chosen.
func pager(total int, path string, q url.Values, parameter string) views.Pager {
	last := max(1, (total+rowsPerPage-1)/rowsPerPage)
	n, err := strconv.Atoi(q.Get(parameter))
	if err != nil {
		n = 1
	}
	n = min(max(n, 1), last)
	p := views.Pager{Page: n, From: (n - 1) * rowsPerPage, To: min(total, n*rowsPerPage), Total: total}
	link := func(n int) string {
		kept := url.Values{}
		for _, name := range listParameters {
			if text := q.Get(name); text != "" {
				kept.Set(name, text)
			}
		}
		kept.Set(parameter, strconv.Itoa(n))
		return path + "?" + kept.Encode()
	}
	if n > 1 {
		p.Previous = link(n - 1)
	}
	if n < last {
		p.Next = link(n + 1)
	}
	return p
}

// listParameters are those by which pages choose what their lists show: a search, and the pages of their lists.
var listParameters = []string{"q", "state", "sort", "page", "routes", "range", "tables", "reason", "route", "ended"}
