"""The pages, and Django's own for logging in and out."""

from django.urls import include, path

from . import views

urlpatterns = [
    path("accounts/", include("django.contrib.auth.urls")),
    path("profile/", views.profile),
    path("visits/", views.visits),
    path("cached/", views.cached),
    path("fragment/", views.fragment),
    path("ping/<str:user>/", views.ping),
    path("guild/<int:guild>/", views.guild),
]
