// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"

	"forkrig/judge"
)

// ForkFailureByLimit is fork-failure as on a kernel that cannot refuse every fork of a host.
var ForkFailureByLimit = judge.Check{
	Name:    forkFailure.Name,
	Clients: forkFailure.Clients,
	Run:     func(c *judge.Case) { forkFailsByLimit(c, errors.New("this machine lacks pid-max")) },
}
