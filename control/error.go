package control

import (
	"errors"
	"fmt"
	"time"

	"github.com/xdire/xlb/store"
)

// Kind says what sort of failure an [Error] is. One place outside maps it to a status.
type Kind int

const (
	// KindInternal is a failure of ours; its text is not for the caller.
	KindInternal Kind = iota
	// KindInvalid is a value that breaks a rule; Field names it.
	KindInvalid
	// KindUnauthenticated is a missing or wrong credential.
	KindUnauthenticated
	// KindForbidden is a known actor that may not do this at all.
	KindForbidden
	// KindNotFound is an object that is missing or belongs to somebody else: the two cannot be told apart.
	KindNotFound
	// KindLimit is a quota that is used up.
	KindLimit
	// KindTooMany is a rate that is exceeded; RetryAfter says for how long.
	KindTooMany
	// KindPrecondition is a record that changed since the caller read it.
	KindPrecondition
	// KindConflict is a request that another one stands in the way of.
	KindConflict
	// KindNoPrecondition is a change that has to say which state it was made for, and does not.
	KindNoPrecondition
	// KindUnavailable is a server that cannot do it now: the disk is full, or it is stopping.
	KindUnavailable
)

// Error is what an operation returns when it refuses or fails. Several problems of one request come
// joined by errors.Join; [Problems] takes them apart.
type Error struct {
	Kind Kind
	// Field is the path of the value that is wrong, in the words of the API: routes[2].dest.
	Field string
	// Message is a sentence for the caller. It never repeats the value.
	Message string
	// RetryAfter is how long to wait, with KindTooMany.
	RetryAfter time.Duration
	// Err is the cause, for the log.
	Err error
}

func (e *Error) Error() string {
	text := e.Message
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Err != nil {
		text = fmt.Sprintf("%s (%v)", text, e.Err)
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Problems lists the errors of this package inside err, in order. It is empty for any other failure.
func Problems(err error) []*Error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*Error
		for _, one := range joined.Unwrap() {
			all = append(all, Problems(one)...)
		}
		return all
	}
	var one *Error
	if errors.As(err, &one) {
		return []*Error{one}
	}
	return nil
}

// KindOf is the kind of the first problem in err, KindInternal when there is none.
func KindOf(err error) Kind {
	if all := Problems(err); len(all) > 0 {
		return all[0].Kind
	}
	return KindInternal
}

func invalid(field, format string, args ...any) *Error {
	return &Error{Kind: KindInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

func notFound(what string) *Error {
	return &Error{Kind: KindNotFound, Message: "There is no such " + what + "."}
}

// fromStore turns a failure of the store into one of ours. what names the object that was looked for.
func fromStore(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return notFound(what)
	case errors.Is(err, store.ErrReadOnly), errors.Is(err, store.ErrNoSpace):
		return &Error{Kind: KindUnavailable, Message: "The server's disk is nearly full, so nothing can be saved. Its administrator has to free space.", Err: err}
	case errors.Is(err, store.ErrFailed):
		return &Error{Kind: KindUnavailable, Message: "The server's store has failed and is being opened again. Connections go on. Try again in a moment.", Err: err}
	case errors.Is(err, store.ErrClosed):
		return &Error{Kind: KindUnavailable, Message: "The server is stopping. Try again in a moment.", Err: err}
	case errors.Is(err, store.ErrManyRequests):
		return &Error{Kind: KindLimit, Message: fmt.Sprintf("%d requests with an Idempotency-Key are remembered for 24 hours, and no more fit. Leave the header out, or wait.", store.MaxAnswered)}
	case errors.Is(err, store.ErrRepeated):
		return &Error{Kind: KindConflict, Message: "A request with this Idempotency-Key is being carried out. Repeat it when that has its answer.", Err: err}
	case errors.Is(err, store.ErrConflict):
		return &Error{Kind: KindPrecondition, Message: "Somebody else changed this at the same moment. Read it again and repeat.", Err: err}
	}
	return err
}
