package views

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// FrontendHead is the top of every page of one frontend.
type FrontendHead struct {
	Now      time.Time
	Tab      string // overview, connections, refused, certificates, settings, test, or "" for none
	Frontend Frontend
	Refused  int // connections that were turned away, as far as is remembered
}

// CheckMark is how one check of a route went.
type CheckMark struct {
	Failed, Slow bool
	Share        float64 // of its time-out that it took, 0 to 1
}

// RouteQuestionProps asks before connections of a route are closed, or for its weight.
type RouteQuestionProps struct {
	Page                     Page
	FrontendID, FrontendName string
	Verb                     string // maintenance, remove or weight
	Route                    Route
	Finish                   time.Duration // that connections of a route that is removed have; 0: they may last
	Shown                    int           // page of the list of routes
	Weight, Capacity         string        // as typed
	Errors                   map[string]string
}

const checkPlaces = 24

// tick is one mark of a picture: its height of 20.
type tick struct {
	class  string
	height int
}

// checkBar is the i-th of the places for checks, the newest at the end.
func checkBar(c []CheckMark, i int) tick {
	i -= checkPlaces - len(c)
	if i < 0 {
		return tick{"none", 2}
	}
	switch m := c[i]; {
	case m.Failed:
		return tick{"fail", 6}
	case m.Slow:
		return tick{"slow", 20}
	default:
		return tick{"", 11 + min(int(m.Share*10), 5)}
	}
}

func routeURL(frontendID string) string { return frontendURL(frontendID) + "/route" }

func routeQuestionURL(frontendID, dest, verb string, page int) string {
	q := url.Values{"dest": {dest}, "do": {verb}}
	if page > 1 {
		q.Set("routes", strconv.Itoa(page))
	}
	return routeURL(frontendID) + "?" + q.Encode()
}

func routeButtonClass(verb string) string {
	if verb == "weight" {
		return "primary"
	}
	return "danger-solid"
}

func routeMarkText(r Route) string {
	var all []string
	if r.Removed {
		all = append(all, removedWord)
	}
	if r.Backup {
		all = append(all, backupWord)
	}
	all = append(all, weightOf(max(1, r.Weight)))
	if r.Addresses > 0 {
		all = append(all, addressCount(r.Addresses))
	}
	return strings.Join(all, ", ")
}

// DoneWithRoute is the code of what was done with a route. It stands in a cookie, where a full stop ends it.
func DoneWithRoute(verb, dest string, connections int) string {
	return fmt.Sprintf("route:%s:%d:%s", verb, connections, strings.ReplaceAll(url.QueryEscape(dest), ".", "~"))
}

func routeDone(code string) (verb string, connections int, dest string, is bool) {
	parts := strings.SplitN(code, ":", 4)
	if len(parts) != 4 || parts[0] != "route" {
		return "", 0, "", false
	}
	n, err := strconv.Atoi(parts[2])
	if err != nil {
		return "", 0, "", false
	}
	dest, err = url.QueryUnescape(strings.ReplaceAll(parts[3], "~", "."))
	return parts[1], n, dest, err == nil
}
