"""What surrounds a run: checks of machines before it, and bundles for clusters without internet."""
