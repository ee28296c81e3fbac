// SPDX-License-Identifier: Apache-2.0

// Package probes asks a kernel how its sockets behave: one small function for each change of
// behaviour that system calls in one network namespace can show.
//
// A [Probe] is judged by what the kernel does, never by its version, so that a fix that a
// distribution took over shows as well as one that it did not. Its answer is a short string
// that is the same in each run on one kernel: answers of several kernels are compared as
// strings. What cannot be asked is missing with the name of the feature, which is no answer:
//
//	for _, answer := range probes.Run(ctx, probes.Options{}) {
//		fmt.Println(answer.ID, answer.Name, answer)
//	}
//
// [BindTable] is one more question with thousands of parts: two sockets, every combination of
// addresses, options and states, and whether the second one may bind and listen.
//
// Each probe runs in a fresh network namespace, on a thread that leaves it again. Nothing
// outside of that namespace changes, no program is started, and no file is needed but /proc.
// Requires CAP_SYS_ADMIN and CAP_NET_ADMIN over the namespaces: root has them, and so has a
// process in a user namespace of its own, such as a sandbox of package rig or the init of a
// guest. The probes know nothing of either, and import nothing of this repository; packages
// that start kernels or print tables import this one.
//
// The numbers of the probes are those under which the project lists changes of the kernel; a
// letter follows where a change shows in a second way. A number is never used for something
// else, and changes that system calls cannot show have no probe.
package probes
