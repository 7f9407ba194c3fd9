package control

import (
	"slices"
	"strings"
)

// What an API key may be good for. Each of them lets it read.
const (
	ScopeRead  = "read"  // look at everything of the client but its keys
	ScopeWrite = "write" // change frontends and routes, revoke certificates, close connections
	ScopeIssue = "issue" // issue certificates
)

var scopes = []string{ScopeRead, ScopeWrite, ScopeIssue}

// scopeOf says what an API key needs for an operation. What is not listed takes the client's own key: the client itself,
// its keys, tokens and sessions, and what the administrator does.
var scopeOf = map[action]string{
	actClientRead:         ScopeRead,
	actAuditRead:          ScopeRead,
	actEventRead:          ScopeRead,
	actFrontendRead:       ScopeRead,
	actCertificateRead:    ScopeRead,
	actConnectionActivity: ScopeRead,
	actConnectionList:     ScopeRead,

	actImport:            ScopeWrite,
	actFrontendCreate:    ScopeWrite,
	actFrontendUpdate:    ScopeWrite,
	actFrontendRestore:   ScopeWrite,
	actFrontendDelete:    ScopeWrite,
	actRouteCheck:        ScopeWrite, // it connects to what the caller names
	actFrontendTest:      ScopeWrite, // it connects to a route
	actCertificateRevoke: ScopeWrite,
	actConnectionClose:   ScopeWrite,

	actCertificateIssue: ScopeIssue,
}

// aboutAll lists what an API key that is bound to some frontends may do although it names none: what is told is narrowed
// to those.
var aboutAll = map[action]bool{actClientRead: true, actFrontendRead: true, actEventRead: true, actImport: true}

// inScope refuses what an API key may not do. Everybody else has no scope, and may do all.
func inScope(a Actor, act action, object string) error {
	if a.APIKey == "" {
		return nil
	}
	needs, listed := scopeOf[act]
	switch {
	case !listed:
		return &Error{Kind: KindForbidden, Message: "An API key cannot do that. Use the client's own key."}
	case needs != ScopeRead && !slices.Contains(strings.Fields(a.Scope), needs):
		return &Error{Kind: KindForbidden, Message: "This API key lacks the scope " + needs + "."}
	case !a.reaches(object) && (object != "" || !aboutAll[act]):
		return &Error{Kind: KindForbidden, Message: "This API key is bound to other frontends."}
	}
	return nil
}

// reaches tells whether an actor may have to do with a frontend, or what is below it.
func (a Actor) reaches(object string) bool {
	id, _, _ := strings.Cut(object, "/")
	return len(a.Frontends) == 0 || slices.Contains(a.Frontends, canonicalID(id))
}

// checkScope returns a list of scopes in its one spelling: separated by spaces (RFC 6749, section 3.3), each once, in the
// order of scopes.
func checkScope(text string) (string, *Error) {
	given := strings.Fields(text)
	var known []string
	for _, one := range scopes {
		if slices.Contains(given, one) {
			known = append(known, one)
		}
	}
	unknown := slices.ContainsFunc(given, func(one string) bool { return !slices.Contains(scopes, one) })
	if len(known) == 0 || unknown {
		return "", invalid("scope", "Use read, write, issue, or several of them with spaces between.")
	}
	return strings.Join(known, " "), nil
}
