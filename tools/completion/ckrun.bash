# bash completion for ckrun, ckpt and ckd

_ckrun_signals='SIGUSR1 SIGUSR2 SIGXCPU SIGTERM'

_ckrun_jobs_folder()
{
    local i
    for ((i = 1; i < ${#COMP_WORDS[@]}; i++)); do
        # "=" is a word of its own, unless COMP_WORDBREAKS lacks it.
        case ${COMP_WORDS[i]} in
            --dir) [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
                   printf '%s' "${COMP_WORDS[i + 1]/#\~/$HOME}" ;;
            --dir=*) local folder=${COMP_WORDS[i]#--dir=}
                     printf '%s' "${folder/#\~/$HOME}" ;;
            *) continue ;;
        esac
        return
    done
    printf '%s' "${CKRUN_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/ckrun}"
}

_ckrun_job_names()
{
    local folder job
    folder=$(_ckrun_jobs_folder)
    for job in "$folder"/*/job.json; do
        [[ -e $job ]] || continue
        job=${job%/job.json}
        printf '%s\n' "${job##*/}"
    done
}

# Words, one a line, that begin with what was typed; blanks are escaped.
_ckrun_reply()
{
    local word current=$1
    COMPREPLY=()
    while IFS= read -r word; do
        [[ $word == "$current"* ]] && COMPREPLY+=("$(printf '%q' "$word")")
    done
}

# The value of the option before the cursor; fails if that takes none.
_ckrun_option_value()
{
    local previous=$1 current=$2
    case $previous in
        --dir | --config | --state) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
        --socket | --output | -o | --on-top-of)
            compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        --files) mapfile -t COMPREPLY < <(compgen -W 'shared ship map' -- "$current") ;;
        map) [[ ${COMP_WORDS[COMP_CWORD - 2]} == --files ]] || return 1; COMPREPLY=() ;;  # OLD=NEW
        --compress) mapfile -t COMPREPLY < <(compgen -W 'none zstd zstd:3 zstd:9 zstd:19' -- "$current") ;;
        --redraw) mapfile -t COMPREPLY < <(compgen -W 'auto winch none' -- "$current") ;;
        --tcp) mapfile -t COMPREPLY < <(compgen -W 'reset refuse repair' -- "$current") ;;
        --pids) mapfile -t COMPREPLY < <(compgen -W 'auto real namespace virtual' -- "$current") ;;
        -s | --signal) mapfile -t COMPREPLY < <(compgen -W "$_ckrun_signals" -- "$current") ;;
        --interval | --timeout) mapfile -t COMPREPLY < <(compgen -W '30s 10m 30m 1h' -- "$current") ;;
        --peers-from) mapfile -t COMPREPLY < <(compgen -W 'gridengine slurm' -- "$current") ;;
        --log-level) mapfile -t COMPREPLY < <(compgen -W 'debug info warning error' -- "$current") ;;
        --valid) mapfile -t COMPREPLY < <(compgen -W '10m 1h 1d' -- "$current") ;;
        --host | --on | --class | --map | --bandwidth | --moved-to | --counter | --address | --listen | --name | --as | --keep | --threads | --max-threads | --stop-exit) COMPREPLY=() ;;
        *) return 1 ;;
    esac
}

_ckrun()
{
    local current=${COMP_WORDS[COMP_CWORD]} i
    # After the program's name, complete as for that program.
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --) ((i++)); break ;;
            --*=* | -h | --help | --version | --pty | --no-pty | --keep-hostname | --allow-uncontrolled) ;;
            -s?*) ;;
            -*) ((i++)); [[ ${COMP_WORDS[i]} == = ]] && ((i++)) ;;
            *) break ;;
        esac
    done
    if ((i < COMP_CWORD)) && declare -F _command_offset >/dev/null; then
        _command_offset "$i"
        return
    fi
    _ckrun_option_value "${COMP_WORDS[COMP_CWORD - 1]}" "$current" && return
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--name --on --dir --interval --keep -s --signal --compress
            --threads --timeout --tcp --stop-exit --pty --no-pty --max-threads --class --keep-hostname --allow-uncontrolled --help --version' -- "$current")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -c -- "$current")
        ((${#COMPREPLY[@]})) || mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}

# After `ckpt resolve HAND-OVER`; the id itself is not known here.
_ckrun_decision()
{
    COMPREPLY=()
    [[ ${COMP_WORDS[COMP_CWORD - 2]} == resolve ]] &&
        mapfile -t COMPREPLY < <(compgen -W 'keep take drop' -- "$1")
}

_ckpt()
{
    local current=${COMP_WORDS[COMP_CWORD]} sub=save word
    local subcommands='save unhold suspend resume restart attach detach ls inspect verify rm check hosts migrate drain undrain top resolve'
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ " $subcommands " == *" $word "* ]] && { sub=$word; break; }
    done
    _ckrun_option_value "${COMP_WORDS[COMP_CWORD - 1]}" "$current" && return
    if [[ $current == -* ]]; then
        local options='--dir --help'
        case $sub in
            save) options+=' --stop --hold --on-top-of --track --allow-uncontrolled --stop-exit -s --signal --compress --threads --timeout --tcp --json --version' ;;
            unhold) options+=' --end --counter --moved-to' ;;
            restart) options+=' --as --pids --rollback-files --map --force --hold --keep-suspended --counter --threads --interval --keep --redraw -s
                --signal --compress --timeout --tcp --stop-exit' ;;
            attach) options+=' --redraw' ;;
            ls) options+=' --json --all-hosts' ;;
            check) options+=' --json' ;;
            hosts | resolve) options='--json --help' ;;
            migrate) options+=' --auto --files --bandwidth --json' ;;
            drain) options='--json --help' ;;
            undrain) options='--help' ;;
            top) options='--interval --once --json --help' ;;
            inspect) options+=' --mappings --json' ;;
            verify) options+=' --threads --json' ;;
            rm) options+=' --force' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
        return
    fi
    case $sub in
        hosts | top | drain | undrain) COMPREPLY=(); return ;;
        resolve) _ckrun_decision "$current"; return ;;
    esac
    if [[ $current == */* ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
    fi
    _ckrun_reply "$current" < <(
        ((COMP_CWORD == 1)) && printf '%s\n' $subcommands
        _ckrun_job_names
        case $sub in restart | inspect | verify | rm) compgen -G '*.ckpt' ;; esac)
}

_ckd()
{
    local current=${COMP_WORDS[COMP_CWORD]} sub='' word
    local subcommands='init invite join revoke'
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ " $subcommands " == *" $word "* ]] && { sub=$word; break; }
    done
    _ckrun_option_value "${COMP_WORDS[COMP_CWORD - 1]}" "$current" && return
    if [[ $current == -* ]]; then
        local options='--config --help'
        case $sub in
            '') options+=' --dir --socket --state --peers-from --log-level --version' ;;
            init) options+=' --host --address --listen' ;;
            invite) options+=' --valid --output' ;;
            join) options+=' --host --address --listen --force' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    elif [[ -z $sub ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$subcommands" -- "$current")
    elif [[ $sub == join ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}

complete -F _ckrun ckrun
complete -F _ckpt ckpt
complete -F _ckd ckd
