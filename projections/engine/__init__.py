"""What keeps read models: views, generations, the runner, rebuilds, comparison."""
