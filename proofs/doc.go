// SPDX-License-Identifier: Apache-2.0

// Package proofs puts the rig itself on trial. Every check is seen to fail at a server that
// is wrong, and to leave alone servers that are right, also those that are strange or
// hostile. The search is seen to find what no check was written for.
//
//	go test ./proofs/...
package proofs
