"""Judges that watch a model: what its reasoning gives away, and how suspicious a reply is by parts of it."""
