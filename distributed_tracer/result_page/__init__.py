"""Results of mining as one page of HTML: what was found, in tables and pictures, and what the data cannot say."""
