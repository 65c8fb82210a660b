// SPDX-License-Identifier: MIT

package rest

import (
	"context"
	"encoding/json/v2"
	"net/http"
	"reflect"
	"regexp"
	"sync"

	"github.com/gin-gonic/gin"

	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/models"
)

const (
	idempotencyHeader = "Idempotency-Key"
	replayedHeader    = "Idempotent-Replay"

	// secretNote stands in a replayed answer in place of its secret.
	secretNote = "the secret was in the first answer to this Idempotency-Key and is not kept; create a new one"
)

var idempotencyKeys = regexp.MustCompile(`^[!-~]{1,128}$`)

// once acts on a POST with an Idempotency-Key once per token and key: a copy
// gets the answer of the first, without its secret. Only successes are kept;
// what was refused may be tried again with the same key.
//
// Copies that arrive together wait for each other within this process. Two
// processes may both act on them, as may a copy after a crash between the
// action and the keeping of its answer: unique names then make the second a
// conflict.
func (s *surface) once(c *gin.Context, who operations.Caller, body []byte, act func() (answer, error)) (answer, error) {
	key := c.GetHeader(idempotencyHeader)
	if key == "" || c.Request.Method != http.MethodPost {
		return act()
	}
	if !idempotencyKeys.MatchString(key) {
		return answer{}, models.Errorf(models.KindInvalid, "the Idempotency-Key is not 1 to 128 printable ASCII characters")
	}
	ctx := c.Request.Context()
	unlock, err := s.locks.lock(ctx, who.Key()+" "+key)
	if err != nil {
		return answer{}, models.Errorf(models.KindUnavailable, "an earlier copy of this request is still running").Because(err)
	}
	defer unlock()
	repeat := operations.Repeat{Key: key, Route: c.Request.Method + " " + c.Request.URL.EscapedPath(), Body: body}
	earlier, err := s.ops.FindAnswer(ctx, who, repeat)
	if err != nil {
		return answer{}, err
	}
	if earlier != nil {
		c.Header(replayedHeader, "true")
		return answer{status: earlier.Status, media: mediaJSON, body: earlier.Body}, nil
	}
	a, err := act()
	if err != nil {
		return a, err
	}
	if err := s.ops.SaveAnswer(ctx, who, repeat, operations.Answer{Status: a.status, Body: a.public}); err != nil {
		s.logger.WarnContext(ctx, "answer not kept for its Idempotency-Key", "request_id", who.RequestID, "error", err)
	}
	return a, nil
}

// withoutSensitive returns the bytes by which a copy of a request is known. A
// request whose body has fields tagged sensitive:"true" is known without them:
// a digest of a password that is kept could be tried against.
func withoutSensitive(req any, body []byte) []byte {
	copied := reflect.New(reflect.TypeOf(req).Elem()).Elem()
	copied.Set(reflect.ValueOf(req).Elem())
	if !emptySensitive(copied) {
		return body
	}
	known, err := json.Marshal(copied.Interface(), json.Deterministic(true))
	if err != nil {
		return body[:0] // what was read as JSON can be written as such
	}
	return known
}

func emptySensitive(v reflect.Value) (any bool) {
	for field, value := range v.Fields() {
		switch {
		case field.Tag.Get("sensitive") == "true":
			value.SetZero()
			any = true
		case value.Kind() == reflect.Struct && value.CanSet() && field.Type != timeType:
			any = emptySensitive(value) || any
		}
	}
	return any
}

// withoutSecrets returns a copy of an answer whose fields tagged secret:"true"
// are emptied, with the reason in the field Note beside them; nil if it has no
// secret. Fields of nested structs are looked at, pointers are not followed.
func withoutSecrets(resp any) any {
	copied := reflect.New(reflect.TypeOf(resp).Elem())
	copied.Elem().Set(reflect.ValueOf(resp).Elem())
	if copied.Elem().Kind() != reflect.Struct || !emptySecrets(copied.Elem()) {
		return nil
	}
	return copied.Interface()
}

func emptySecrets(v reflect.Value) (any bool) {
	for field, value := range v.Fields() {
		switch {
		case field.Tag.Get("secret") == "true" && value.String() != "":
			value.SetString("")
			v.FieldByName("Note").SetString(secretNote)
			any = true
		case value.Kind() == reflect.Struct && field.Type != timeType:
			any = emptySecrets(value) || any
		}
	}
	return any
}

// locks are mutexes by name that can be waited for with a context.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	turn  chan struct{} // holds one token while free
	users int
}

func newLocks() *locks { return &locks{held: map[string]*lock{}} }

// lock waits for its turn and returns the function that ends it.
func (l *locks) lock(ctx context.Context, name string) (unlock func(), err error) {
	l.mu.Lock()
	entry := l.held[name]
	if entry == nil {
		entry = &lock{turn: make(chan struct{}, 1)}
		entry.turn <- struct{}{}
		l.held[name] = entry
	}
	entry.users++
	l.mu.Unlock()
	select {
	case <-entry.turn:
		return func() { entry.turn <- struct{}{}; l.leave(name, entry) }, nil
	case <-ctx.Done():
		l.leave(name, entry)
		return nil, ctx.Err()
	}
}

func (l *locks) leave(name string, entry *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if entry.users--; entry.users == 0 {
		delete(l.held, name)
	}
}
