// Package command is what xlb does beside serving: it talks to a server that runs, as any client of its API does.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// ExitError ends the process with a status, and without a word: all has been said.
type ExitError int

func (e ExitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// api is a server's JSON API.
type api struct {
	base   string // up to the version
	token  string // a bearer token; empty: none
	client *http.Client
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// call makes one request, and decodes the answer into v unless that is nil.
func (a *api) call(ctx context.Context, method, path, body string, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return errors.Unwrap(err) // without the URL, which is none of a socket's
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return problemOf(resp.StatusCode, text)
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("the answer is none of XLB's: %w", err)
	}
	return nil
}

// problemOf says what the server found wrong (RFC 9457).
func problemOf(status int, text []byte) error {
	var p struct {
		Detail string
		Errors []struct{ Location, Message string }
	}
	if json.Unmarshal(text, &p) != nil || p.Detail == "" {
		return fmt.Errorf("the server answered %d %s", status, http.StatusText(status))
	}
	said := []string{p.Detail}
	for _, one := range p.Errors {
		said = append(said, one.Location+": "+one.Message)
	}
	return errors.New(strings.Join(said, "\n  "))
}
