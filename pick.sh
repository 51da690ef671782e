# pick.sh hN [from]: cherry-pick the commits of a helper that are not there yet
h=$1; from=${2:-37e2a2b}
git -c core.editor=true cherry-pick $from..$h 2>&1 | tail -8
git status --short | grep -E "^(UU|AA|DU|UD)" 
