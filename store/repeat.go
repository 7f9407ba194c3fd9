package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Answered is a request that made something, remembered so that its repetition gets the same answer. It is written in the
// transaction of what the request changes; the answer follows when it is known.
type Answered struct {
	ClientID    string    `json:"client"`
	Name        string    `json:"name"`        // what the client calls the request, hashed
	Fingerprint []byte    `json:"fingerprint"` // of the request
	Attempt     string    `json:"attempt"`     // of whoever carried it out
	ExpiresAt   time.Time `json:"expiresat"`

	Status int               `json:"status,omitempty"` // 0: the answer is not known
	Header map[string]string `json:"header,omitempty"`
	Body   []byte            `json:"body,omitempty"` // compressed
}

func (a *Answered) key() string         { return key(kindAnswered, a.ClientID, a.Name) }
func (a *Answered) indexExpiry() string { return expiryKey(a.ExpiresAt, a.key()) }

// MaxAnswered is how many of a client's requests are remembered at once.
const MaxAnswered = 1000

type answeredKey struct{}

// WithAnswered makes the changes of the context's operation remember the request that asks for them. When somebody else has
// carried the request out meanwhile the change is not made: ErrRepeated. ErrManyRequests when
// MaxAnswered are remembered.
func WithAnswered(ctx context.Context, a Answered) context.Context {
	return context.WithValue(ctx, answeredKey{}, a)
}

// remember adds the record to the transaction, unless an earlier one of the same operation has.
func (a Answered) remember(tx Txn) error {
	known, err := get[Answered](tx, a.key())
	switch {
	case err == nil && known.Attempt == a.Attempt:
		return nil
	case err == nil:
		return fmt.Errorf("request: %w", ErrRepeated)
	case !isNotFound(err):
		return err
	}
	switch err := count(tx, key(kindAnsweredCount, a.ClientID), 1, MaxAnswered); {
	case errors.Is(err, ErrLimit):
		return fmt.Errorf("requests: %w", ErrManyRequests)
	case err != nil:
		return err
	}
	tx.Set(a.indexExpiry(), nil)
	return set(tx, a.key(), a)
}

// count changes a number by a step, and returns ErrLimit when it comes to be more than most.
func count(tx Txn, at string, step, most int) error {
	text, _, err := tx.Get(at)
	if err != nil && !isNotFound(err) {
		return err
	}
	n, _ := strconv.Atoi(string(text)) // absent is 0
	if n += step; n > most {
		return fmt.Errorf("%d: %w", n, ErrLimit)
	}
	if n <= 0 {
		tx.Delete(at)
		return nil
	}
	tx.Set(at, []byte(strconv.Itoa(n)))
	return nil
}

// PutAnswer adds the answer to a request that was carried out. Body is kept as it is given.
func (s *Store) PutAnswer(ctx context.Context, a Answered) error {
	if err := checkIDs(a.ClientID, a.Name); err != nil {
		return err
	}
	packed, err := compressed(a.Body)
	if err != nil {
		return err
	}
	a.Body = packed
	_, err = s.engine.Update(Urgent(ctx), func(tx Txn) error {
		known, err := get[Answered](tx, a.key())
		if err != nil || known.Attempt != a.Attempt {
			return err
		}
		known.Status = a.Status
		known.Header = a.Header
		known.Body = a.Body
		return set(tx, a.key(), known)
	})
	return err
}

// Answered returns what is remembered of a request, or ErrNotFound.
func (s *Store) Answered(ctx context.Context, clientID, name string) (Answered, error) {
	if checkIDs(clientID, name) != nil {
		return Answered{}, missing(kindAnswered)
	}
	return view(ctx, s, func(r Reader) (Answered, error) {
		a, err := get[Answered](r, key(kindAnswered, clientID, name))
		if err != nil || a.Status == 0 {
			return a, err
		}
		a.Body, err = unpacked(a.key(), a.Body)
		return a, err
	})
}

// removeAnswered forgets a request.
func removeAnswered(tx Txn, record string) error {
	a, err := get[Answered](tx, record)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	tx.Delete(a.indexExpiry())
	tx.Delete(record)
	return count(tx, key(kindAnsweredCount, a.ClientID), -1, MaxAnswered)
}
