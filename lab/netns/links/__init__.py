"""lab.netns.links."""
