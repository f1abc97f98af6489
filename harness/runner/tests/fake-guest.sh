#!/bin/sh
# Sends the file that it is told through the port of replies, and ends; or stays to be killed; or has
# stopped the machine, which its monitor tells.
[ "$1" = --version ] && echo 'QEMU emulator version 99.0' && exit
cat "$1" >&4
case $2 in
stays)
    exec 5>&-
    exec cat <&3 >/dev/null
    ;;
stopped)
    echo '{"QMP": {"version": {"qemu": {"major": 99, "minor": 0, "micro": 0}, "package": ""}, "capabilities": []}}' >&5
    while read -r line <&5; do
        case $line in
        *query-status*) echo '{"return": {"running": false, "status": "internal-error"}}' >&5 ;;
        *) echo '{"return": {}}' >&5 ;;
        esac
    done
    ;;
esac
exit 0
