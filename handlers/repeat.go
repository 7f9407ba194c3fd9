package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

const (
	idempotencyKey = "Idempotency-Key"
	// replayed says that an answer is that of an earlier request.
	replayed = "Idempotent-Replayed"
)

// repeatable makes an operation take an Idempotency-Key. secrets are the fields of its answer that are told once only.
func repeatable(op huma.Operation, secrets ...string) huma.Operation {
	most := 255
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: idempotencyKey, In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &most},
		Description: "A name for this request, of your choice. Sent again with the same name within 24 hours it is not carried out again, and gets the first answer without its secrets",
	})
	op.Metadata = map[string]any{idempotencyKey: secrets}
	return op
}

// once carries a request with an Idempotency-Key out, or answers as it was answered the first time.
func (a *jsonAPI) once(ctx huma.Context, next func(huma.Context)) {
	secrets, takes := ctx.Operation().Metadata[idempotencyKey].([]string)
	name := ctx.Header(idempotencyKey)
	if !takes || name == "" {
		next(ctx)
		return
	}
	body, err := io.ReadAll(ctx.BodyReader())
	if err != nil {
		status := http.StatusRequestTimeout
		if errors.As(err, new(*http.MaxBytesError)) {
			status = http.StatusRequestEntityTooLarge
		}
		huma.WriteErr(a.API, ctx, status, "")
		return
	}
	url := ctx.URL()
	content := append([]byte(ctx.Method()+" "+url.RequestURI()+"\n"), body...)
	inner, request, err := a.control.Once(ctx.Context(), name, content)
	if err != nil {
		a.writeProblem(ctx, inHeader(err))
		return
	}
	if request.Answer != nil {
		writeAnswer(ctx, request.Answer)
		request.Done(ctx.Context(), nil)
		return
	}
	seen := &seenAnswer{requestContext: huma.WithContext(ctx, inner), in: bytes.NewReader(body), header: map[string]string{}}
	defer func() { request.Done(ctx.Context(), seen.answer(secrets)) }()
	next(seen)
}

func (a *jsonAPI) writeProblem(ctx huma.Context, err error) {
	p := problemOf(ctx.Context(), a.log, err)
	for name, values := range p.header {
		for _, value := range values {
			ctx.SetHeader(name, value)
		}
	}
	ctx.SetHeader("Content-Type", p.ContentType(""))
	ctx.SetStatus(p.Status)
	json.NewEncoder(ctx.BodyWriter()).Encode(p) // fails only when there is nobody to tell
}

func writeAnswer(ctx huma.Context, answer *control.Answer) {
	for name, value := range answer.Header {
		ctx.SetHeader(name, value)
	}
	ctx.SetHeader(replayed, "true")
	ctx.SetStatus(answer.Status)
	ctx.BodyWriter().Write(answer.Body)
}

// requestContext is huma's under another name: a field Context would hide its method.
type requestContext huma.Context

// seenAnswer is a request whose body was read already, and whose answer is remembered.
type seenAnswer struct {
	requestContext
	in     io.Reader
	header map[string]string
	out    bytes.Buffer
}

// BodyReader is the body from its beginning.
func (s *seenAnswer) BodyReader() io.Reader { return s.in }

// BodyWriter writes to the client, and down.
func (s *seenAnswer) BodyWriter() io.Writer {
	return io.MultiWriter(s.requestContext.BodyWriter(), &s.out)
}

// SetHeader sets it, and notes it down.
func (s *seenAnswer) SetHeader(name, value string) {
	s.header[name] = value
	s.requestContext.SetHeader(name, value)
}

// answer is what to remember, nil when nothing was made.
func (s *seenAnswer) answer(secrets []string) *control.Answer {
	if s.Status() < 200 || s.Status() > 299 {
		return nil
	}
	body := s.out.Bytes()
	if len(secrets) > 0 {
		var fields map[string]json.RawMessage
		if json.Unmarshal(body, &fields) != nil {
			return nil // not one of ours; better nothing than a secret
		}
		for _, name := range secrets {
			delete(fields, name)
		}
		body, _ = json.Marshal(fields) // what has just been read
	}
	header := map[string]string{}
	for _, name := range []string{"Content-Type", "Location", "Etag", "ETag"} {
		if value := s.header[name]; value != "" {
			header[name] = value
		}
	}
	return &control.Answer{Status: s.Status(), Header: header, Body: body}
}
