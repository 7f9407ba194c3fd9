package control

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/xdire/xlb/store"
)

// RepeatsFor is how long a request with a name is remembered.
const RepeatsFor = 24 * time.Hour

// maxRequestName is the longest name of a request, in bytes.
const maxRequestName = 255

// Answer is what was said to a request, without secrets.
type Answer struct {
	Status int
	Header map[string]string
	Body   []byte
}

// Request is one that its sender has given a name to, so that it can be sent again without being carried out again.
type Request struct {
	// Answer is what was said when it was carried out; nil: it was not, and is to be.
	Answer *Answer

	control *Control
	record  store.Answered
}

// inHand are the requests with a name that are being carried out in this process.
type inHand struct {
	mu  sync.Mutex
	has map[string]bool
}

func (h *inHand) take(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.has[name] {
		return false
	}
	if h.has == nil {
		h.has = map[string]bool{}
	}
	h.has[name] = true
	return true
}

func (h *inHand) give(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.has, name)
}

// Once takes a request with a name in hand. content is all that makes it this request and no other. The operation goes on
// with the context that is returned; the caller calls Done at its end in any case.
func (c *Control) Once(ctx context.Context, name string, content []byte) (context.Context, *Request, error) {
	clientID, credential, err := c.whoRepeats(ctx)
	if err != nil {
		return ctx, nil, err
	}
	if !isRequestName(name) {
		return ctx, nil, invalid("Idempotency-Key", "Use 1 to %d printable ASCII characters, such as a uuid.", maxRequestName)
	}
	// Each credential has names of its own: what one may see of an answer another may not.
	r := &Request{control: c, record: store.Answered{
		ClientID: clientID, Name: digest(credential + "\n" + name), Fingerprint: hashKey(string(content)), Attempt: uuid.NewString(),
		ExpiresAt: c.cfg.Now().UTC().Add(RepeatsFor),
	}}
	if !c.inHand.take(r.handle()) {
		return ctx, nil, &Error{Kind: KindConflict, Message: "A request with this Idempotency-Key is being carried out. Repeat it when that has its answer."}
	}
	if err := r.recall(ctx); err != nil {
		c.inHand.give(r.handle())
		return ctx, nil, err
	}
	return store.WithAnswered(ctx, r.record), r, nil
}

// whoRepeats is whose request it is, and with what credential it came.
func (c *Control) whoRepeats(ctx context.Context) (clientID, credential string, err error) {
	a := ActorFrom(ctx)
	if a.ClientID != "" {
		return a.ClientID, "key " + a.APIKey, nil // tokens come and go, and are all of the client itself
	}
	b, err := c.holder(a.Certificate)
	if err != nil {
		return "", "", err
	}
	return b.ClientID, "certificate " + b.Certificate.Serial, nil
}

func isRequestName(name string) bool {
	for _, r := range name {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return name != "" && len(name) <= maxRequestName
}

func (r *Request) handle() string { return r.record.ClientID + " " + r.record.Name }

// recall finds out whether the request was carried out before.
func (r *Request) recall(ctx context.Context) error {
	known, err := r.control.store.Answered(ctx, r.record.ClientID, r.record.Name)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && !r.control.cfg.Now().Before(known.ExpiresAt):
		return nil
	case err != nil:
		return fromStore(err, "request")
	case string(known.Fingerprint) != string(r.record.Fingerprint):
		return invalid("Idempotency-Key", "It was used with another request in the last 24 hours. Take a new one.")
	case known.Status == 0: // the process ended in between
		return &Error{Kind: KindConflict, Message: "The request with this Idempotency-Key was carried out, and its answer was lost. Look at the list of what there is."}
	}
	r.Answer = &Answer{Status: known.Status, Header: known.Header, Body: known.Body}
	return nil
}

// Done ends the request. An answer is remembered if something was made; nil: there is none.
func (r *Request) Done(ctx context.Context, a *Answer) {
	defer r.control.inHand.give(r.handle())
	if a == nil || r.Answer != nil {
		return
	}
	record := r.record
	record.Status = a.Status
	record.Header = a.Header
	record.Body = a.Body
	if err := r.control.store.PutAnswer(ctx, record); err != nil && !errors.Is(err, store.ErrNotFound) {
		r.control.log.WarnContext(ctx, "the answer to a request is not remembered", "client", record.ClientID, "error", fmt.Sprint(err))
	}
}
