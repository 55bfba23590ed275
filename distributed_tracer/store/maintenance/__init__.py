"""Operations that keep stores small, whole and in the right place: compact, copy, merge, split, gc, verify, repair."""
