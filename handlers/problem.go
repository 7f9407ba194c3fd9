package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

// Challenges for the two ways to show who one is (RFC 7235).
const (
	bearerChallenge = `Bearer realm="xlb"`
	basicChallenge  = `Basic realm="xlb", charset="UTF-8"`
)

const (
	// maxProblems bounds how many wrong values one answer lists: a body of 1 MB has room for a hundred thousand.
	maxProblems = 20
	// maxLocation bounds the name of a wrong value, which may come from the request.
	maxLocation = 200
)

// Problem is how the API says no (RFC 9457). It never repeats a value of the request: that may be a key in the wrong
// field, and answers end up in logs.
type Problem struct {
	Type      string          `json:"type,omitempty" doc:"Kind of problem; absent: the status says it all"`
	Title     string          `json:"title" doc:"The status in words"`
	Status    int             `json:"status" doc:"The HTTP status code"`
	Detail    string          `json:"detail,omitempty" doc:"What went wrong this time, for people"`
	Errors    []ProblemDetail `json:"errors,omitempty" doc:"The values that are wrong"`
	RequestID string          `json:"requestId,omitempty" doc:"Joins this answer with the server's log"`

	header http.Header
}

// ProblemDetail is one value that is wrong.
type ProblemDetail struct {
	Location string `json:"location,omitempty" doc:"Where, such as body.routes[0].dest"`
	Message  string `json:"message" doc:"What is wrong with it"`
}

// Error is the detail, or the title when there is none.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

// GetStatus, GetHeaders and ContentType are what huma asks an error for.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are the headers that go with the problem.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType is that of problems whatever was negotiated.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// Everything that huma itself finds wrong with a request comes through here.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return humaProblem("", status, message, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		return humaProblem(control.ActorFrom(ctx.Context()).RequestID, status, message, errs)
	}
}

// details in our words; what huma would say names its own parts or repeats the request.
var details = map[int]string{
	http.StatusBadRequest:            "The body is no valid JSON.",
	http.StatusNotAcceptable:         "The answer is JSON; accept application/json.",
	http.StatusRequestTimeout:        "The body did not arrive in time.",
	http.StatusRequestEntityTooLarge: "The body is larger than 1 MB, or 16 MB for an import.",
	http.StatusUnsupportedMediaType:  "Send the body as application/json.",
	http.StatusUnprocessableEntity:   "Some values are wrong.",
	http.StatusInternalServerError:   "The server failed. Tell its administrator the request id.",
}

func humaProblem(requestID string, status int, message string, errs []error) *Problem {
	p := newProblem(requestID, status, details[status])
	if p.Detail == "" {
		p.Detail = message
	}
	if status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
		return p
	}
	if len(errs) == 0 && message == "request body is required" {
		p.Detail = "The body is missing."
	}
	for _, err := range errs {
		var detailer huma.ErrorDetailer
		if errors.As(err, &detailer) {
			d := detailer.ErrorDetail()
			p.add(missingField(d.Location, d.Message))
		}
	}
	return p
}

// missingField lets a missing field be named as the location, as every other wrong field is. huma names the object that
// lacks it, and the field only in its sentence; a test tells when that sentence changes.
func missingField(location, message string) (string, string) {
	rest, ok := strings.CutPrefix(message, "expected required property ")
	name, required := strings.CutSuffix(rest, " to be present")
	if !ok || !required {
		return location, message
	}
	return location + "." + name, "This field is required."
}

func newProblem(requestID string, status int, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: detail, RequestID: requestID, header: http.Header{}}
}

func (p *Problem) add(location, message string) {
	if len(p.Errors) < maxProblems {
		p.Errors = append(p.Errors, ProblemDetail{Location: clip(location), Message: message})
	}
}

func clip(text string) string {
	if len(text) <= maxLocation {
		return text
	}
	return text[:maxLocation] + "…"
}

// problemOf turns what an operation returned into an answer. What is nobody's business is logged only.
func problemOf(ctx context.Context, log *slog.Logger, err error) *Problem {
	var ready *Problem
	if errors.As(err, &ready) {
		ready.RequestID = control.ActorFrom(ctx).RequestID
		return ready
	}
	requestID := control.ActorFrom(ctx).RequestID
	problems := control.Problems(err)
	if len(problems) == 0 || problems[0].Kind == control.KindInternal {
		if ctx.Err() == nil { // a caller that has gone is no failure of ours
			log.ErrorContext(ctx, "request failed", "request", requestID, "error", err)
		}
		return newProblem(requestID, http.StatusInternalServerError, details[http.StatusInternalServerError])
	}
	first := problems[0]
	p := newProblem(requestID, statusOf(first), first.Message)
	if retry := retryAfter(first); retry != "" {
		p.header.Set("Retry-After", retry)
	}
	if first.Kind == control.KindUnauthenticated {
		p.header.Set("WWW-Authenticate", bearerChallenge)
	}
	if first.Kind == control.KindInvalid { // each value has its own sentence below
		p.Detail = details[http.StatusUnprocessableEntity]
	}
	part := "body."
	var elsewhere partError
	if errors.As(err, &elsewhere) {
		part = elsewhere.part
	}
	for _, one := range problems {
		if one.Field != "" {
			p.add(part+one.Field, one.Message)
		}
	}
	return p
}

// partError is about values of the URL or of a header; what operations find wrong is of the body otherwise.
type partError struct {
	part string
	err  error
}

func (p partError) Error() string { return p.err.Error() }

// Unwrap returns a list: that is what [control.Problems] takes apart.
func (p partError) Unwrap() []error { return []error{p.err} }

func inQuery(err error) error { return inPart("query.", err) }

func inHeader(err error) error { return inPart("header.", err) }

func inPart(part string, err error) error {
	if err == nil {
		return nil
	}
	return partError{part, err}
}

// statusOf is the HTTP status for a kind of error, for both faces.
func statusOf(e *control.Error) int {
	switch e.Kind {
	case control.KindInvalid:
		return http.StatusUnprocessableEntity
	case control.KindUnauthenticated:
		return http.StatusUnauthorized
	case control.KindForbidden, control.KindLimit: // a quota does not come back by waiting, as 429 would say
		return http.StatusForbidden
	case control.KindNotFound:
		return http.StatusNotFound
	case control.KindConflict:
		return http.StatusConflict
	case control.KindTooMany:
		return http.StatusTooManyRequests
	case control.KindNoPrecondition:
		return http.StatusPreconditionRequired
	case control.KindPrecondition:
		return http.StatusPreconditionFailed
	case control.KindUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// unavailableFor is when to try again after a 503 that does not say.
const unavailableFor = 10 * time.Second

func retryAfter(e *control.Error) string {
	wait := e.RetryAfter
	if wait <= 0 && e.Kind == control.KindUnavailable {
		wait = unavailableFor
	}
	if wait <= 0 {
		return ""
	}
	return strconv.Itoa(int((wait + time.Second - 1) / time.Second)) // rounded up: a caller that obeys is not refused again
}

// setRetryAfter tells the caller when to try again, where the error says.
func setRetryAfter(w http.ResponseWriter, e *control.Error) {
	if retry := retryAfter(e); retry != "" {
		w.Header().Set("Retry-After", retry)
	}
}

// WriteProblem answers with what an operation returned, outside of the API's operations.
func WriteProblem(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	writeProblem(w, problemOf(r.Context(), log, err))
}

// WriteStatus answers with a status of the router or of the server itself.
func WriteStatus(w http.ResponseWriter, r *http.Request, status int, detail string) {
	if detail == "" {
		detail = details[status]
	}
	writeProblem(w, newProblem(control.ActorFrom(r.Context()).RequestID, status, detail))
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	for name, values := range p.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.Header().Set("Cache-Control", "no-store")
	body, err := json.Marshal(p)
	if err != nil { // a text that is no UTF-8 is mended by json, so nothing is left that could be wrong
		body = fmt.Appendf(nil, `{"title":"Internal Server Error","status":%d}`, p.Status)
	}
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n'))
}
