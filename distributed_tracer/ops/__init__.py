"""Operations around a run: `doctor` checks machines before it, `bundle` prepares clusters without internet."""
