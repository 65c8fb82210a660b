// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/trustloom/trustloom/models"
)

func TestTheFirstOfManyEqualRequestsWorksForAll(t *testing.T) {
	var f flights
	var works atomic.Int32
	began, finish := make(chan struct{}), make(chan struct{})
	want := &models.Certificate{ID: "c"}
	work := func() (Answer, error) {
		works.Add(1)
		close(began)
		<-finish
		return Answer{Certificate: want}, nil
	}
	var all sync.WaitGroup
	first, leave := context.WithCancel(t.Context())
	all.Go(func() {
		if answer, err := f.do(first, "key", work); answer.Certificate != want || err != nil {
			t.Errorf("the first got %v, %v", answer, err)
		}
	})
	<-began
	leave() // works on for the others
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.do(gone, "key", work); models.KindOf(err) != models.KindUnavailable {
		t.Errorf("who leaves while another works: %v", err)
	}
	ready := make(chan struct{}, 8)
	for range cap(ready) {
		all.Go(func() {
			ready <- struct{}{}
			if answer, err := f.do(t.Context(), "key", func() (Answer, error) { return Answer{Certificate: want}, nil }); answer.Certificate != want || err != nil {
				t.Errorf("another got %v, %v", answer, err)
			}
		})
	}
	for range cap(ready) {
		<-ready
	}
	close(finish)
	all.Wait()
	if n := works.Load(); n != 1 {
		t.Errorf("worked %d times", n)
	}
	if answer, err := f.do(t.Context(), "key", func() (Answer, error) { return Answer{}, errLost }); answer.Certificate != nil || !errors.Is(err, errLost) {
		t.Errorf("a later request got what is over: %v, %v", answer, err)
	}
}

func TestWhoWaitsHearsOfWorkThatDidNotReturn(t *testing.T) {
	var f flights
	began, fall := make(chan struct{}), make(chan struct{})
	go func() {
		defer func() { _ = recover() }()
		_, _ = f.do(context.Background(), "key", func() (Answer, error) {
			close(began)
			<-fall
			panic("broken")
		})
	}()
	<-began
	waiting := f.flying["key"]
	close(fall)
	<-waiting.landed
	if !errors.Is(waiting.err, errLost) {
		t.Error(waiting.err)
	}
}
