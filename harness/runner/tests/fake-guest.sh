#!/bin/sh
# Sends the file that it is told through the agent's port, and ends; or stays to be killed; or has
# stopped the machine, which its monitor tells.
[ "$1" = --version ] && echo 'QEMU emulator version 99.0' && exit
cat "$1" >&3
case $2 in
stays)
    exec 4>&-
    exec cat <&3 >/dev/null
    ;;
stopped)
    echo '{"QMP": {"version": {"qemu": {"major": 99, "minor": 0, "micro": 0}, "package": ""}, "capabilities": []}}' >&4
    while read -r line <&4; do
        case $line in
        *query-status*) echo '{"return": {"running": false, "status": "internal-error"}}' >&4 ;;
        *) echo '{"return": {}}' >&4 ;;
        esac
    done
    ;;
esac
exit 0
