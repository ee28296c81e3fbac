// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package fault

import "errors"

func (*client) sayUrgently(byte) error { return errors.ErrUnsupported }
