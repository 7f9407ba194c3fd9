package handlers

import (
	"net/http"
	"slices"
	"strings"

	"github.com/xdire/xlb/views"
)

// noticeCookie carries what was just done from the answer of a form to the page that follows, which shows it once. It stands
// in no URL: anybody could make a link that says anything was done, and a page that is loaded again would say it again.
const noticeCookie = "__Host-xlb-done"

// noticeAge is how long a notice waits for its page, in seconds.
const noticeAge = 60

// setNotice leaves a notice, by its code, for the next page. undo is the store's revision of the change, to take it back by;
// empty where that cannot be.
func setNotice(w http.ResponseWriter, code, undo string) {
	http.SetCookie(w, cookieOf(noticeCookie, code+"."+undo, noticeAge))
}

// doneAt leads to a page that says what was done.
func doneAt(w http.ResponseWriter, r *http.Request, page, code string) error {
	setNotice(w, code, "")
	http.Redirect(w, r, page, http.StatusSeeOther)
	return nil
}

// notice is the one that waits for this page; empty for none.
func notice(r *http.Request) (code, undo string) {
	c, err := r.Cookie(noticeCookie)
	if err != nil || r.Method != http.MethodGet {
		return "", ""
	}
	code, undo, _ = strings.Cut(c.Value, ".")
	return code, undo
}

// noticeText is its sentence.
func noticeText(r *http.Request) string {
	code, _ := notice(r)
	return views.Done(code)
}

// noticeIsToast is whether it is about an act on a row of a page that goes on: it must not push the page down.
func noticeIsToast(r *http.Request) bool {
	code, _ := notice(r)
	act, _, _ := strings.Cut(code, ":")
	return slices.Contains([]string{"route", "undone", "closed", "ended"}, act)
}

// forgetNotice takes the notice that a page shows out of the browser.
func forgetNotice(w http.ResponseWriter, r *http.Request) {
	if code, _ := notice(r); code != "" {
		http.SetCookie(w, cookieOf(noticeCookie, "", -1))
	}
}
