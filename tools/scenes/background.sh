#!/bin/sh
# Runs a training stage in the background at the lowest priority: ./background.sh NAME STAGE train [options]
# The log is $ATTUNE_SCENES/NAME.log, the process id $ATTUNE_SCENES/NAME.pid; kill -TERM saves and stops, the same command goes on.
set -eu
cd "$(dirname "$0")"
work=${ATTUNE_SCENES:-/var/tmp/attune-scenes}
name=$1
shift
mkdir -p "$work"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} PYTHONUNBUFFERED=1
# Debian's OpenBLAS does not know every newer processor with AVX-512; on one without, these kernels would be illegal instructions.
if [ -z "${OPENBLAS_CORETYPE:-}" ] && grep -qw avx512f /proc/cpuinfo 2>/dev/null; then export OPENBLAS_CORETYPE=SkylakeX; fi
# Tensors are allocated and freed all the time: keep their pages instead of returning them to the system.
export MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456
# A new session is a scheduling group of its own on most systems, beside which nice counts for nothing: the group's priority is lowered too.
setsid sh -c 'echo 19 2>/dev/null >"/proc/$$/autogroup" || :; exec nice -n 19 ionice -c3 "$@"' sh "${PYTHON:-/usr/bin/python3}" -m scenes "$@" >>"$work/$name.log" 2>&1 </dev/null &
echo $! >"$work/$name.pid"
echo "$name: process $!, log $work/$name.log"
