// SPDX-License-Identifier: MIT

package rest

import (
	"encoding/json/v2"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// Enroll is the device's door: it authenticates the device that sent r and
// takes its request. The answer is a certificate, or a positive time to wait.
type Enroll func(r *http.Request, domain, profile, csr string) (*api.Enrollment, time.Duration, error)

// enrollOperation is the one route that is for devices: it has no bearer
// token and no permission.
var enrollOperation = operation{
	id: "Enroll", method: http.MethodPost, path: "/enroll/{domain}/{profile}", status: http.StatusOK, device: true,
	summary: "For devices: obtain a certificate. HTTP Basic with the device's name and one-time secret (method rest-password) onboards it; " +
		"the domain credential as TLS client certificate obtains certificates of other profiles; a certificate of the very profile renews itself.",
	request: reflect.TypeFor[enrollRequest](), response: reflect.TypeFor[api.Enrollment](),
}

type enrollRequest struct {
	Domain  string            `path:"domain" doc:"name of the domain" example:"press-shop"`
	Profile string            `path:"profile" doc:"name of the profile" example:"domain_credential"`
	Body    api.EnrollmentAsk `in:"body"`
}

// deviceChallenge is how a device is told to authenticate (RFC 7617 §2.1).
const deviceChallenge = `Basic realm="trustloom enroll", charset="UTF-8"`

func declareEnroll(s *surface) {
	s.routes = append(s.routes, enrollOperation)
	s.engine.POST(BasePath+"/enroll/:domain/:profile", func(c *gin.Context) {
		c.Set(challengeKey, deviceChallenge)
		req := &enrollRequest{}
		if _, err := bind(c, req); err != nil {
			s.fail(c, err)
			return
		}
		if s.enroll == nil {
			s.fail(c, models.Errorf(models.KindNotFound, "devices are not enrolled here"))
			return
		}
		got, wait, err := s.enroll(c.Request, req.Domain, req.Profile, req.Body.CSR)
		if err != nil {
			s.fail(c, err)
			return
		}
		s.answerDevice(c, got, wait)
	})
}

func (s *surface) answerDevice(c *gin.Context, got *api.Enrollment, wait time.Duration) {
	status, body := http.StatusOK, any(got)
	if wait > 0 {
		seconds := max(1, int(math.Ceil(wait.Seconds())))
		c.Header("Retry-After", strconv.Itoa(seconds))
		status, body = http.StatusAccepted, &api.EnrollmentWait{RetryAfter: seconds, Detail: "the request waits; send the same request again after that many seconds"}
	}
	encoded, err := json.Marshal(body, json.Deterministic(true))
	if err != nil {
		s.fail(c, err)
		return
	}
	c.Data(status, mediaJSON, encoded)
}
