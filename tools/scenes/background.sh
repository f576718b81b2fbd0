#!/bin/sh
# Runs a training stage in the background at the lowest priority: ./background.sh NAME STAGE train [options]
# The log is $ATTUNE_SCENES/NAME.log, the process id $ATTUNE_SCENES/NAME.pid; kill -TERM saves and stops, the same command goes on.
set -eu
cd "$(dirname "$0")"
work=${ATTUNE_SCENES:-/var/tmp/attune-scenes}
name=$1
shift
mkdir -p "$work"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OPENBLAS_CORETYPE=${OPENBLAS_CORETYPE:-SkylakeX} PYTHONUNBUFFERED=1
setsid nohup nice -n 19 ionice -c3 "${PYTHON:-/usr/bin/python3}" -m scenes "$@" >>"$work/$name.log" 2>&1 </dev/null &
echo $! >"$work/$name.pid"
echo "$name: process $!, log $work/$name.log"
